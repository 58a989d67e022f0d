package pages

import (
	"net/url"
	"strconv"
	"strings"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/record"
)

// virtuousApp is where people use Virtuous in a browser.
type virtuousApp string

// page returns the address of a contact or gift in Virtuous; "" for what Virtuous does not have.
func (a virtuousApp) page(kind string, id *string) string {
	if id == nil || a == "" {
		return ""
	}
	if _, is := record.VirtuousID(*id); !is {
		return ""
	}
	switch kind {
	case "contact", "gift":
		return strings.TrimSuffix(string(a), "/") + "/Generosity/" + capitalised(kind) + "/View/" + url.PathEscape(*id)
	}
	return ""
}

// virtuousRecord returns the id of a traced record at Virtuous; nil if it has none.
func virtuousRecord(trace operatorapi.Trace) *string {
	if trace.VirtuousRecordID == nil {
		return nil
	}
	return new(strconv.FormatInt(*trace.VirtuousRecordID, 10))
}
