// Package vomo is a client of the VOMO HTTP API: it reads the people of one organisation, page by page.
//
// It owns the requests (pace is asked for through Config.Before, never decided here), their retries, the
// decoding of answers and the order in which pages are handed over. It promises that
//
//   - the token leaves for BaseURL's origin and for no other; no URL that VOMO sends is ever followed as it
//     is: pages are asked for by number, with our own filters, and a redirect gives no more than a path;
//   - an entry that cannot be read becomes a BadUser and does not fail the page that it stands on, unless all entries of a
//     page have the same defect (ErrUnreadablePage);
//   - what no destination gets is not read, so that it may be anything;
//   - at most ScanOptions.Ahead pages are asked for and not yet done, so a crash reads no more than that again;
//   - no error carries the token, a URL's query, text of an answer or a person's data.
//
// A scan does not see a frozen set: VOMO pages by number over people who come and go meanwhile, so an id may
// come twice and one may be missed. Telling that is the caller's work. The package knows neither bus nor
// store, keeps nothing between calls and logs nothing.
//
// # Errors
//
// Every error says by package fault what a retry could achieve. 401, 403 and 404 are ErrUnauthorized,
// ErrForbidden and ErrNotFound: unknown, not permanent, since a refusal says nothing about a person. The codes
// are vomo_unauthorized, vomo_forbidden, vomo_not_found, vomo_throttled, vomo_5xx, vomo_timeout,
// vomo_unreachable, vomo_broken_page, vomo_unreadable_page, vomo_partial_detail, vomo_page_mismatch, vomo_page_repeats,
// vomo_endless, vomo_body_too_large, vomo_redirect and vomo_http_<status>, which is ErrRefused. A fault is throttled if
// the answer named a pause, whatever its status. What Config.Before returns, and the cause of a
// cancelled context, come back wrapped and without a code of ours.
package vomo
