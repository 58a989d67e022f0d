// Package vomo is a client of the VOMO HTTP API: it reads the users of one organisation, page by page, and upserts one.
//
// It sends the requests (Config.Before decides the pace), retries them, decodes the answers and delivers the pages in
// order. It guarantees that
//
//   - the token is sent to BaseURL's origin only. No URL from VOMO is followed unchanged: pages are requested by
//     number with the client's own filters, and only the path of a redirect is used;
//   - an entry that cannot be read becomes a BadUser and does not fail its page, unless all entries of a page have the
//     same defect (ErrUnreadablePage);
//   - fields that no destination gets are not read, so their type does not matter;
//   - at most ScanOptions.Ahead pages are requested and not yet done, so after a crash no more than that are read again;
//   - no error carries the token, a URL's query, text of an answer or a person's data.
//
// A scan is not a snapshot: VOMO pages by number over users that are added and removed meanwhile, so an id may occur
// twice and a user may be missed. The caller has to detect that. The package knows neither bus nor store, keeps
// nothing between calls and logs nothing.
//
// # Errors
//
// Every error has a kind of package fault. 401, 403 and 404 are ErrUnauthorized, ErrForbidden and ErrNotFound. Their
// kind is unknown, not permanent, because a rejected request says nothing about a user's record. The codes
// are vomo_unauthorized, vomo_forbidden, vomo_not_found, vomo_throttled, vomo_5xx, vomo_timeout,
// vomo_unreachable, vomo_broken_page, vomo_unreadable_page, vomo_partial_detail, vomo_page_mismatch, vomo_page_repeats,
// vomo_endless, vomo_body_too_large, vomo_redirect and vomo_http_<status>, which is ErrRejected; of an upsert it is
// permanent, and an UpsertRejection. A fault is throttled if
// the answer named a pause, whatever its status. Errors of Config.Before, and the cause of a cancelled context, are
// returned wrapped and without a code of this package.
package vomo
