// Package virtuous is a client of the Virtuous CRM+ HTTP API, and reads what Virtuous sends: answers and webhooks.
//
// The client sends the requests (Config.Before decides the pace) and judges the answers. It guarantees that
//
//   - the key and the refresh token are sent to BaseURL's origin only, and no redirect is followed;
//   - the status of an answer decides. A body is only a hint, with two exceptions: the text by which Virtuous says that it
//     has a transaction already, and a success whose body is not that of the API;
//   - an answer is at most 16 MiB long;
//   - a write is attempted once. A read is repeated after a fault that may be gone;
//   - no error carries the key, the text of an answer or a person's data. Of an answer it has the status, the request's id,
//     the names of fields and codes.
//
// The package knows neither bus nor store, keeps nothing in a database and logs nothing.
//
// # Errors
//
// Every error has a kind of package fault. ErrUnauthorized, ErrForbidden, ErrNotFound, ErrThrottled, ErrRejected,
// ErrUnavailable, ErrUnknownAnswer and ErrRedirect are what an answer, or its absence, stands for. Only the rejection of a
// submitted transaction is permanent: any other says nothing about a record. The codes are virtuous_unauthorized,
// virtuous_forbidden, virtuous_not_found, virtuous_throttled, virtuous_5xx, virtuous_timeout, virtuous_unreachable,
// virtuous_open, virtuous_redirect, virtuous_unknown_answer, virtuous_page_repeats, virtuous_unsorted,
// virtuous_unsupported_query, virtuous_id_invalid, virtuous_http_<status>, and of Refresh virtuous_refresh_refused and
// virtuous_awaiting_verification. RequestID and Problems return what is known of
// the answer. Errors of Config.Before, and the cause of a cancelled context, are returned wrapped and without a code of
// this package.
//
// # Queries
//
// A query is read page by page in the order of the ids, from the highest id of the page before. It is no snapshot, but what
// changes meanwhile hides no other record. The names of parameters and operators come from Virtuous' own list.
//
// # Records and deliveries
//
// Gift and Contact are read from answers and from webhooks, which spell the same record in different ways: ids and amounts
// as numbers or texts, times with 0 to 7 decimals and with or without a zone, custom fields as a map or a list. Gift.Fields
// and Contact.Fields give the same record the same form. Virtuous does not publish the form of its webhooks: ParseDelivery
// accepts those that are known from receivers and from its guide.
package virtuous
