package control

import (
	"net/http"
	"time"

	"rollcall.dev/services/sandbox/internal/answer"
)

type clockView struct {
	Now           string  `json:"now"`           // RFC 3339 with fractions, UTC
	OffsetSeconds float64 `json:"offsetSeconds"` // to the real clock
}

func (a *API) showClock(w http.ResponseWriter, _ *http.Request) {
	now, offset := a.Clock.Read()
	answer.JSON(w, http.StatusOK, clockView{Now: now.UTC().Format(time.RFC3339Nano), OffsetSeconds: offset.Seconds()})
}

// moveClock sets the offset or adds to it. An empty request is refused: it would be taken for a reset.
func (a *API) moveClock(w http.ResponseWriter, r *http.Request) {
	var request struct {
		OffsetSeconds  *float64 `json:"offsetSeconds"`
		AdvanceSeconds *float64 `json:"advanceSeconds"`
	}
	if !decode(w, r, &request) {
		return
	}
	var err error
	switch {
	case (request.OffsetSeconds == nil) == (request.AdvanceSeconds == nil):
		refuse(w, http.StatusUnprocessableEntity, "one of offsetSeconds and advanceSeconds is required")
		return
	case request.OffsetSeconds != nil:
		err = a.Clock.Set(*request.OffsetSeconds)
	default:
		err = a.Clock.Advance(*request.AdvanceSeconds)
	}
	if err != nil {
		refuse(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	a.showClock(w, r)
}
