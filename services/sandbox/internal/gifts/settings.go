package gifts

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Errors of changes. Each says what it is about.
var (
	ErrInvalid = errors.New("is not valid")
	ErrTaken   = errors.New("is taken already")
	ErrUnknown = errors.New("is not known")
	ErrFull    = errors.New("no room for more")
)

// Ways of an import.
const (
	ImportsAuto   = "auto"   // each import runs some minutes after its midnight
	ImportsManual = "manual" // each import waits for /control, as for a charity's staff
)

// Settings say how an organisation behaves where the vendor's documents are silent or disagree.
type Settings struct {
	Title     string `json:"title"`     // organizationName
	Zone      string `json:"zone"`      // IANA name
	ShownZone string `json:"shownZone"` // how the API spells the zone; "": as it is
	Culture   string `json:"culture"`   //
	Currency  string `json:"currency"`  // base currency
	Enabled   bool   `json:"enabled"`   // isEnabled

	Imports            string  `json:"imports"`            // auto or manual
	RunAfterMinutes    int     `json:"runAfterMinutes"`    // imports auto: minutes from midnight to the run
	NeedsUpdatePercent float64 `json:"needsUpdatePercent"` // of the transactions of a run, chosen by the seed
	UnknownProject     string  `json:"unknownProject"`     // refuse at once, or needs_update
	DesignationsField  string  `json:"designationsField"`  // both, designations or giftDesignations; the other one is ignored
	Batches            string  `json:"batches"`            // whole: one invalid transaction refuses all; each: the valid ones are accepted
	ResubmitDiscarded  bool    `json:"resubmitDiscarded"`  // accept a discarded transaction again

	Errors       string `json:"errors"`       // shape of refusals: one of Shapes, or usual
	RepeatShape  string `json:"repeatShape"`  // shape of the refusal of a repeated transaction
	RepeatStatus int    `json:"repeatStatus"` //
	HeldLookup   string `json:"heldLookup"`   // not_found, or transaction: 200 with the held transaction
	IndexSeconds int    `json:"indexSeconds"` // seconds in which a new gift is not found by source and id

	Times         string `json:"times"`         // precision of times: mixed, whole, hundredths, milliseconds, ticks or zulu
	UTCParameters bool   `json:"utcParameters"` // queries have Last Modified DateTime UTC
	Operators     string `json:"operators"`     // words (OnOrAfter) or guide (Is After Or On)
	MaxTake       int    `json:"maxTake"`       //
	SlowTake      int    `json:"slowTake"`      // a query with a larger take answers 504; 0: none

	Webhooks Webhooks `json:"webhooks"`
}

// Webhooks say how deliveries are made.
type Webhooks struct {
	Envelope      string  `json:"envelope"`      // bulk, single, guide, camel or mixed
	Encoding      string  `json:"encoding"`      // base64, hex or mixed
	Header        string  `json:"header"`        // of the signature
	Batch         int     `json:"batch"`         // records in a delivery of the bulk envelope
	Loss          float64 `json:"loss"`          // probabilities of an event, drawn by the seed
	Duplicates    float64 `json:"duplicates"`    //
	Reordered     float64 `json:"reordered"`     //
	Odd           float64 `json:"odd"`           // a null or the record once more beside it, no time, ids and amounts as text
	Distance      int     `json:"distance"`      // how many events later a reordered or doubled one comes at most
	BadSignatures float64 `json:"badSignatures"` // probability of a delivery
	Manual        bool    `json:"manual"`        // only /control delivers
	TimeoutMs     int     `json:"timeoutMs"`     //
	Attempts      int     `json:"attempts"`      // of one delivery
	RetryMs       int     `json:"retryMs"`       // before the second attempt, doubled before each further one
}

// DefaultSettings returns the settings of an organisation whose request names none.
func DefaultSettings() Settings {
	return Settings{
		Title: "Example Relief (Sandbox)", Zone: "US/Arizona", Culture: "en-US", Currency: "USD", Enabled: true,
		Imports: ImportsAuto, UnknownProject: "refuse", DesignationsField: "both", Batches: "whole",
		Errors: "usual", RepeatShape: "model_state", RepeatStatus: 400, HeldLookup: "not_found",
		Times: "mixed", UTCParameters: true, Operators: "words", MaxTake: 1_000,
		Webhooks: Webhooks{
			Envelope: "bulk", Encoding: "base64", Header: "X-Virtuous-Signature", Batch: 50, Distance: 5,
			TimeoutMs: 5_000, Attempts: 4, RetryMs: 1_000,
		},
	}
}

// Shapes returns the names of the bodies that an error of Virtuous may have.
func Shapes() []string {
	return []string{"documented", "two_field", "text", "model_state", "message", "html", "empty"}
}

// check returns an ErrInvalid that says what is invalid.
func (s Settings) check() error {
	if why := cmp.Or(s.wrongWord(), s.wrongNumber(), s.Webhooks.wrongWord(), s.Webhooks.wrongNumber()); why != "" {
		return fmt.Errorf("settings: %s: %w", why, ErrInvalid)
	}
	return nil
}

func (s Settings) wrongWord() string {
	if _, err := time.LoadLocation(s.Zone); err != nil || s.Zone == "" {
		return "zone"
	}
	return wrongOf(
		word{"imports", s.Imports, []string{ImportsAuto, ImportsManual}},
		word{"unknownProject", s.UnknownProject, []string{"refuse", "needs_update"}},
		word{"designationsField", s.DesignationsField, []string{"both", "designations", "giftDesignations"}},
		word{"batches", s.Batches, []string{"whole", "each"}},
		word{"errors", s.Errors, append(Shapes(), "usual")},
		word{"repeatShape", s.RepeatShape, []string{"model_state", "text", "documented", "two_field", "message"}},
		word{"heldLookup", s.HeldLookup, []string{"not_found", "transaction"}},
		word{"times", s.Times, []string{"mixed", "whole", "hundredths", "milliseconds", "ticks", "zulu"}},
		word{"operators", s.Operators, []string{"words", "guide"}},
	)
}

func (s Settings) wrongNumber() string {
	switch {
	case s.RunAfterMinutes < 0 || s.RunAfterMinutes >= 24*60:
		return "runAfterMinutes is 0 to 1439"
	case !(s.NeedsUpdatePercent >= 0 && s.NeedsUpdatePercent <= 100):
		return "needsUpdatePercent is 0 to 100"
	case s.RepeatStatus < 400 || s.RepeatStatus > 499:
		return "repeatStatus is 400 to 499"
	case s.IndexSeconds < 0 || s.SlowTake < 0 || s.MaxTake < 1 || s.MaxTake > 10_000:
		return "indexSeconds, slowTake and maxTake are not negative, and maxTake is 1 to 10000"
	}
	return ""
}

func (w Webhooks) wrongWord() string {
	return wrongOf(
		word{"webhooks.envelope", w.Envelope, []string{"bulk", "single", "guide", "camel", "mixed"}},
		word{"webhooks.encoding", w.Encoding, []string{"base64", "hex", "mixed"}},
	)
}

func (w Webhooks) wrongNumber() string {
	for _, probability := range []float64{w.Loss, w.Duplicates, w.Reordered, w.Odd, w.BadSignatures} {
		if !(probability >= 0 && probability <= 1) {
			return "webhooks: a probability is 0 to 1"
		}
	}
	switch {
	case w.Header == "":
		return "webhooks.header"
	case w.Batch < 1 || w.Batch > 100_000 || w.Distance < 1 || w.Distance > 100_000:
		return "webhooks.batch and webhooks.distance are 1 to 100000"
	case w.TimeoutMs < 1 || w.TimeoutMs > 600_000 || w.RetryMs < 0 || w.RetryMs > 600_000 || w.Attempts < 1 || w.Attempts > 100:
		return "webhooks.timeoutMs, webhooks.retryMs or webhooks.attempts"
	}
	return ""
}

type word struct {
	name, value string
	allowed     []string
}

func wrongOf(words ...word) string {
	for _, w := range words {
		if !slices.Contains(w.allowed, w.value) {
			return fmt.Sprintf("%s is one of %v", w.name, w.allowed)
		}
	}
	return ""
}
