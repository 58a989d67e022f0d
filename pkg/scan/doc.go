// Package scan decides in which order all users of a customer are read, so that no user is missed while others are added
// and deleted.
//
// VOMO returns users in numbered pages. When a user on a page that was already read is deleted, all later users move up by
// one place. A user that moves across a page boundary this way is on no page that is read later. No poll finds it either if
// it does not change. Equal counts prove nothing: the deleted user was counted and hides the missed one.
//
// So a scan has two phases. The list phase reads the whole list; if meta.total falls, it steps back as many pages as users
// may have moved, counted from the oldest page that was in flight. The window phase divides the users by created_at into
// windows of at most 20 pages, asks VOMO how many users each window has (one request), and compares the count with the
// distinct ids that the scan saw there. If the two differ, in either direction, the window is halved, down to one page, which
// one answer shows completely. A window that cannot be halved is read again until its ids agree with the count.
//
// The package only moves the cursor: it reads no page and writes no record. The ids that it saw are kept in the store, so
// its memory use does not grow with the customer. It promises that a scan ends whatever VOMO answers: the pages read again
// after stepping back, the readings of a window, and the windows without agreement are limited, and a scan that ended
// without agreement says so. Reading pages cannot detect one case: a user is added and another one deleted in the same
// window between the same two requests, so that the count does not change.
package scan
