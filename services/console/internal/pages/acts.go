package pages

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"go.uber.org/zap"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/services/console/internal/access"
)

// act does what a form asks for, and returns the address at which its result is seen, with what is said there.
type act func(r *http.Request, who access.Principal) (string, error)

// maxForm bounds the body of a form: the longest has a token of a few kilobytes.
const maxForm = 64 << 10

// addActs adds what forms do. Each needs a right, and each customer-scoped one the customer.
func (s *Site) addActs(mux *http.ServeMux) {
	for pattern, one := range map[string]struct {
		right access.Right
		do    act
	}{
		"/customers/{customer}/pause":       {access.Pause, s.command("customers", "pause", "paused")},
		"/customers/{customer}/resume":      {access.Pause, s.command("customers", "resume", "resumed")},
		"/customers/{customer}/backfill":    {access.Customers, s.startBackfill},
		"/customers/{customer}/poll":        {access.Customers, s.pollNow},
		"/customers/{customer}/reconcile":   {access.Customers, s.reconcileNow},
		"/customers/{customer}/token":       {access.Token, s.replaceToken},
		"/letters/{letter}/retry":           {access.Letters, s.oneLetter(operatorapi.VerbRetry)},
		"/letters/{letter}/discard":         {access.Letters, s.oneLetter(operatorapi.VerbDiscard)},
		"/letters/chosen/retry":             {access.Letters, s.chosenLetters(operatorapi.VerbRetry)},
		"/letters/chosen/discard":           {access.Letters, s.chosenLetters(operatorapi.VerbDiscard)},
		"/letters/retry":                    {access.Letters, s.startDrain(operatorapi.VerbRetry)},
		"/letters/discard":                  {access.Letters, s.startDrain(operatorapi.VerbDiscard)},
		"/drains/{drain}/abort":             {access.Letters, s.abortDrain},
		"/held/{customer}/{entity}/approve": {access.Deletions, s.approve},
		"/held/{customer}/{entity}/reject":  {access.Deletions, s.reject},
		"/held/{customer}/{entity}/undo":    {access.Deletions, s.undo},
		"/review/{customer}/{item}":         {access.Review, s.decide},
		"/endpoints/{endpoint}/test":        {access.Admin, s.testEndpoint},
	} {
		mux.Handle("POST "+pattern, s.do(one.right, one.do))
	}
}

// do checks the right, does the act, and leads to its result.
func (s *Site) do(right access.Right, one act) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := access.From(r.Context())
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		err := r.ParseForm()
		var tooLong *http.MaxBytesError
		switch {
		case errors.As(err, &tooLong):
			http.Error(w, "the form is too long", http.StatusRequestEntityTooLarge)
			return
		case err != nil:
			http.Error(w, "the form cannot be read", http.StatusBadRequest)
			return
		case !who.May(access.Read):
			http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
			return
		case !who.May(right):
			err = errForbidden
		case r.PathValue("customer") != "":
			_, err = onlyFor(r, who)
		}
		var at string
		if err == nil {
			at, err = one(r, who)
		}
		if err != nil {
			status, page := s.problem(r, err)
			s.write(w, r, who, status, page)
			return
		}
		http.Redirect(w, r, at, http.StatusSeeOther)
	})
}

// command asks for an act on a whole customer.
func (s *Site) command(noun, verb, said string) act {
	return func(r *http.Request, who access.Principal) (string, error) {
		customer := r.PathValue("customer")
		_, err := operatorclient.Ask[operatorapi.CustomerCommand, operatorapi.CustomerCommanded](r.Context(), s.client(who), noun, verb,
			operatorapi.CustomerCommand{CustomerID: customer})
		return saying(customerPath(customer), said), err
	}
}

func (s *Site) startBackfill(r *http.Request, who access.Principal) (string, error) {
	customer := r.PathValue("customer")
	reply, err := operatorclient.Ask[operatorapi.BackfillCommand, operatorapi.BackfillCommanded](r.Context(), s.client(who), "backfills", "start",
		operatorapi.BackfillCommand{CustomerID: customer})
	return saying(customerPath(customer), "backfill-"+reply.Action), err
}

// oneLetter retries or discards one letter.
func (s *Site) oneLetter(verb string) act {
	return func(r *http.Request, who access.Principal) (string, error) {
		shown, err := s.letterFor(r, who)
		if err != nil {
			return "", err
		}
		command := operatorapi.LettersCommand{
			LettersFilter: operatorapi.LettersFilter{CustomerID: shown.CustomerID, IDs: []string{shown.ID}}, Note: r.PostFormValue("note"),
		}
		done, err := operatorclient.Ask[operatorapi.LettersCommand, operatorapi.LettersDone](r.Context(), s.client(who), "letters", verb, command)
		said := verb + "-letter"
		if err == nil && len(done.Left) > 0 {
			said = "left-" + done.Left[0].Reason
		}
		return saying(letterPath(shown.ID), said), err
	}
}

// chosenLetters retries or discards the letters of one page that were ticked. Another customer's letter is not known.
func (s *Site) chosenLetters(verb string) act {
	return func(r *http.Request, who access.Principal) (string, error) {
		ids := r.PostForm["id"]
		if len(ids) == 0 || len(ids) > lettersShown {
			return saying("/letters", "none-chosen"), nil
		}
		command := operatorapi.LettersCommand{LettersFilter: operatorapi.LettersFilter{CustomerID: who.Customer, IDs: ids}, Note: r.PostFormValue("note")}
		done, err := operatorclient.Ask[operatorapi.LettersCommand, operatorapi.LettersDone](r.Context(), s.client(who), "letters", verb, command)
		if err != nil {
			return "", err
		}
		at := saying("/letters", verb+"-chosen") + "&n=" + plain(done.Done)
		if len(done.Left) > 0 {
			at += "&left=" + plain(int64(len(done.Left)))
		}
		return at, nil
	}
}

// approve deletes what a held search is about. It cannot be undone at every destination, so the customer's id is typed.
func (s *Site) approve(r *http.Request, who access.Principal) (string, error) {
	if r.PostFormValue("confirm") != r.PathValue("customer") {
		return saying(heldAt(r), "not-confirmed"), nil
	}
	return s.decideRun(r, who, "approve", "approved")
}

func (s *Site) reject(r *http.Request, who access.Principal) (string, error) {
	return s.decideRun(r, who, "reject", "rejected")
}

func (s *Site) decideRun(r *http.Request, who access.Principal, verb, said string) (string, error) {
	_, err := operatorclient.Ask[operatorapi.DeletionCommand, operatorapi.DeletionCommanded](r.Context(), s.client(who), "deletions", verb,
		operatorapi.DeletionCommand{CustomerID: r.PathValue("customer"), Entity: r.PathValue("entity"), RunID: formNumber(r, "run")})
	return saying(heldAt(r), said), err
}

func (s *Site) undo(r *http.Request, who access.Principal) (string, error) {
	_, err := operatorclient.Ask[operatorapi.UndoCommand, operatorapi.UndoCommanded](r.Context(), s.client(who), "deletions", "undo",
		operatorapi.UndoCommand{CustomerID: r.PathValue("customer"), Entity: r.PathValue("entity"), RunID: formNumber(r, "run")})
	return saying(heldAt(r), "undone"), err
}

func (s *Site) decide(r *http.Request, who access.Principal) (string, error) {
	customer := r.PathValue("customer")
	id, err := strconv.ParseInt(r.PathValue("item"), 10, 64)
	if err != nil {
		return "", &operatorclient.RejectedError{Code: "404"}
	}
	_, err = operatorclient.Ask[operatorapi.ReviewDecision, operatorapi.ReviewShown](r.Context(), s.client(who), "review", "resolve",
		operatorapi.ReviewDecision{CustomerID: customer, ItemID: id, Decision: r.PostFormValue("decision")})
	return saying("/review?customer="+url.QueryEscape(customer), "decided"), err
}

func heldAt(r *http.Request) string {
	return "/held/" + url.PathEscape(r.PathValue("customer")) + "/" + url.PathEscape(r.PathValue("entity"))
}

func formNumber(r *http.Request, name string) int64 {
	n, err := strconv.ParseInt(r.PostFormValue(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// saying returns an address at which a page says what was done. Only a code travels, so that a page shows no words of the address.
func saying(at, code string) string {
	parsed, err := url.Parse(at)
	if err != nil {
		return at
	}
	query := parsed.Query()
	query.Set("said", code)
	parsed.RawQuery = query.Encode()
	return parsed.String()
}

// warn logs what no page can say.
func (s *Site) warn(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		s.Logger.Warn(what, zap.Error(err))
	}
}
