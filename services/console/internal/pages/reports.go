package pages

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/store"
	"rollcall.dev/services/console/internal/access"
)

// reportsListed is of how many days a customer's page offers the stored reports of giving.
const reportsListed = 7

// download is a report as a file: whole as JSON, and as the rows of a table. It has counts, and nothing of a person.
type download struct {
	content any
	rows    [][]string
}

// report answers with a report as a file: giving or reconciliations, as .json or .csv. That it was read is noted in the audit.
func (s *Site) report(w http.ResponseWriter, r *http.Request) {
	who := access.From(r.Context())
	if !who.May(access.Read) {
		http.Redirect(w, r, "/sign-in?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
		return
	}
	customer, err := onlyFor(r, who)
	name, form, _ := strings.Cut(r.PathValue("file"), ".")
	date := r.URL.Query().Get("date")
	var made download
	if err == nil {
		made, err = s.makeReport(r.Context(), customer, name, form, date)
	}
	if err == nil {
		err = s.noteReport(r.Context(), who, customer, name, date)
	}
	if err != nil {
		status, page := s.problem(r, err)
		s.write(w, r, who, status, page)
		return
	}
	if date == "" {
		date = "now"
	}
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", strings.Join([]string{customer, name, date}, "-")+"."+form))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := made.write(w, form); err != nil && r.Context().Err() == nil {
		s.Logger.Warn("report not sent", zap.String("path", r.URL.Path), zap.Error(err))
	}
}

func (s *Site) makeReport(ctx context.Context, customer, name, form, date string) (download, error) {
	if form != "json" && form != "csv" {
		return download{}, store.ErrNotFound
	}
	if _, err := s.Store.Customer(ctx, customer); err != nil {
		return download{}, err
	}
	switch {
	case name == "giving":
		return s.givingReport(ctx, customer, date)
	case name == "reconciliations" && date == "":
		return s.reconciliationsReport(ctx, customer)
	}
	return download{}, store.ErrNotFound
}

// givingReport is the report of a day, or as of now.
func (s *Site) givingReport(ctx context.Context, customer, date string) (download, error) {
	if date == "" {
		made, err := dailyreport.Reporter{Limits: s.Limits, Floors: s.Floors}.Make(ctx, s.Store.Conn, customer)
		return download{made, givingRows(made)}, err
	}
	if _, err := time.Parse(time.DateOnly, date); err != nil {
		return download{}, store.ErrNotFound
	}
	made, err := dailyreport.Of(ctx, s.Store.Conn, customer, date)
	return download{made, givingRows(made)}, err
}

// givingRows has the seven figures, a row each. A value that is not known is empty; times are in seconds.
func givingRows(made dailyreport.Report) [][]string {
	whole := func(n *int64) string {
		if n == nil {
			return ""
		}
		return strconv.FormatInt(*n, 10)
	}
	share := ""
	if made.Metrics.RecoveredShare.Value != nil {
		share = strconv.FormatFloat(*made.Metrics.RecoveredShare.Value, 'f', 4, 64)
	}
	of := made.Metrics
	rows := [][]string{{"customer", "date", "made_at", "figure", "value", "state", "healthy", "usual", "remedy"}}
	for _, one := range []struct {
		name, value string
		verdict     dailyreport.Verdict
	}{
		{"pending", whole(&of.Pending.Value), of.Pending.Verdict},
		{"submitted_late", whole(&of.SubmittedLate.Value), of.SubmittedLate.Verdict},
		{"needs_review", whole(&of.NeedsReview.Value), of.NeedsReview.Verdict},
		{"failed", whole(&of.Failed.Value), of.Failed.Verdict},
		{"conflict", whole(&of.Conflict.Value), of.Conflict.Verdict},
		{"latency_median_seconds", whole(of.Latency.MedianSeconds), of.Latency.Verdict},
		{"recovered_share", share, of.RecoveredShare.Verdict},
	} {
		usual := ""
		if one.verdict.Baseline != nil {
			usual = strconv.FormatFloat(one.verdict.Baseline.Median, 'f', -1, 64)
		}
		rows = append(rows, []string{
			made.CustomerID, made.Date, machineTime(made.MadeAt), one.name, one.value, one.verdict.State, one.verdict.Healthy, usual, one.verdict.Remedy,
		})
	}
	return rows
}

// reconciled is one nightly reconciliation of the mirror.
type reconciled struct {
	CustomerID  string    `json:"customerId"`
	Date        string    `json:"date"`
	Changed     int64     `json:"changedUsers"`
	Gaps        int64     `json:"gaps"`
	Letters     int64     `json:"letters"`
	CompletedAt time.Time `json:"completedAt"`
}

// reconciliationsReport has the nightly reconciliations that a customer's page shows, the newest first.
func (s *Site) reconciliationsReport(ctx context.Context, customer string) (download, error) {
	recent, err := s.Store.RecentReconciliations(ctx, customer, store.KindUserDaily, gapDays*24*time.Hour)
	days := make([]reconciled, 0, len(recent))
	rows := [][]string{{"customer", "date", "changed_users", "gaps", "letters", "completed_at"}}
	for _, one := range recent {
		day := reconciled{customer, one.Date.Format(time.DateOnly), one.Expected, one.Gaps, one.Failures, one.CompletedAt.UTC()}
		days = append(days, day)
		rows = append(rows, []string{day.CustomerID, day.Date, plain(day.Changed), plain(day.Gaps), plain(day.Letters), machineTime(day.CompletedAt)})
	}
	return download{days, rows}, err
}

func (s *Site) noteReport(ctx context.Context, who access.Principal, customer, name, date string) error {
	filter, err := json.Marshal(map[string]string{"customerId": customer, "kind": name, "date": date})
	if err != nil {
		return err
	}
	_, err = s.Store.NoteAct(ctx, store.Act{
		Operator: who.ID, Via: store.ViaAPI, Verb: "reports.download", Customer: customer, Filter: filter, Outcome: store.ActDone,
	})
	return err
}

func (d download) write(w http.ResponseWriter, form string) error {
	if form == "csv" {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		return writeRows(w, d.rows)
	}
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(d.content)
}

func writeRows(to io.Writer, rows [][]string) error {
	table := csv.NewWriter(to)
	return errors.Join(table.WriteAll(rows), table.Error())
}

// reportPath is the address of a report as a file; date "" is now.
func reportPath(customer, file, date string) string {
	at := customerPath(customer) + "/reports/" + file
	if date != "" {
		at += "?" + url.Values{"date": {date}}.Encode()
	}
	return at
}
