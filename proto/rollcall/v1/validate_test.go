package rollcallv1_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// valid returns a valid request, changed by change.
func valid(change func(*rollcallv1.OnboardingRequest)) *rollcallv1.OnboardingRequest {
	request := &rollcallv1.OnboardingRequest{CustomerId: "acme", VomoToken: "12|abc", ExternalSystemUrl: "https://crm.example.org"}
	if change != nil {
		change(request)
	}
	return request
}

func TestValidRequestHasNoErrors(t *testing.T) {
	t.Parallel()
	perMinute := 0.0
	for name, request := range map[string]*rollcallv1.OnboardingRequest{
		"the least": valid(nil),
		"sealed":    valid(func(r *rollcallv1.OnboardingRequest) { r.VomoToken, r.VomoTokenSealed = "", "X.y" }),
		"a destination": valid(func(r *rollcallv1.OnboardingRequest) {
			r.ExternalSystemUrl, r.Destination = "", &rollcallv1.Destination{Kind: "rest", Url: "https://x", Token: "t"}
		}),
		"everything else": valid(func(r *rollcallv1.OnboardingRequest) {
			r.PollCadenceMinutes, r.AdminEmail = rollcallv1.MaxPollCadenceMinutes, "it@acme.example"
			r.Limits = &rollcallv1.Limits{RequestsPerSecond: rollcallv1.MinRequestsPerSecond, RequestsPerMinute: &perMinute}
		}),
		"the longest token": valid(func(r *rollcallv1.OnboardingRequest) { r.VomoToken = strings.Repeat("x", rollcallv1.MaxTokenBytes) }),
	} {
		require.Empty(t, request.Validate("acme", false), name)
	}
}

func TestEachRuleReportsItsField(t *testing.T) {
	t.Parallel()
	minutes := func(n int32) func(*rollcallv1.OnboardingRequest) {
		return func(r *rollcallv1.OnboardingRequest) { r.PollCadenceMinutes = n }
	}
	token := func(text string) func(*rollcallv1.OnboardingRequest) {
		return func(r *rollcallv1.OnboardingRequest) { r.VomoToken = text }
	}
	email := func(text string) func(*rollcallv1.OnboardingRequest) {
		return func(r *rollcallv1.OnboardingRequest) { r.AdminEmail = text }
	}
	perSecond := func(n float64) func(*rollcallv1.OnboardingRequest) {
		return func(r *rollcallv1.OnboardingRequest) { r.Limits = &rollcallv1.Limits{RequestsPerSecond: n} }
	}
	perMinute := func(n float64) func(*rollcallv1.OnboardingRequest) {
		return func(r *rollcallv1.OnboardingRequest) { r.Limits = &rollcallv1.Limits{RequestsPerMinute: &n} }
	}
	destination := func(d *rollcallv1.Destination) func(*rollcallv1.OnboardingRequest) {
		return func(r *rollcallv1.OnboardingRequest) { r.ExternalSystemUrl, r.Destination = "", d }
	}
	for name, c := range map[string]struct {
		change func(*rollcallv1.OnboardingRequest)
		field  string
		says   string
	}{
		"no id":               {func(r *rollcallv1.OnboardingRequest) { r.CustomerId = "" }, "customerId", "is missing"},
		"another id":          {func(r *rollcallv1.OnboardingRequest) { r.CustomerId = "globex" }, "customerId", "subject"},
		"no id at all":        {func(r *rollcallv1.OnboardingRequest) { r.CustomerId = "No Id" }, "customerId", "1 to 63 characters"},
		"no token":            {token(""), "vomoToken", "is missing"},
		"two tokens":          {func(r *rollcallv1.OnboardingRequest) { r.VomoTokenSealed = "X.y" }, "vomoToken", "given twice"},
		"a long token":        {token(strings.Repeat("x", rollcallv1.MaxTokenBytes+1)), "vomoToken", "longer than"},
		"a broken token":      {token("12|a\nbc"), "vomoToken", "line breaks"},
		"a token with spaces": {token("Bearer 12|abc"), "vomoToken", "spaces"},
		"a token with a NUL":  {token("12|a\x00"), "vomoToken", "characters"},
		"a token in Greek":    {token("12|αβγ"), "vomoToken", "characters"},
		"a broken sealed one": {func(r *rollcallv1.OnboardingRequest) { r.VomoToken, r.VomoTokenSealed = "", "X y" }, "vomoTokenSealed", "spaces"},
		"negative minutes":    {minutes(-1), "pollCadenceMinutes", "10080"},
		"more than a week":    {minutes(rollcallv1.MaxPollCadenceMinutes + 1), "pollCadenceMinutes", "10080"},
		"no address":          {email("no-address"), "adminEmail", "e-mail"},
		"a name with it":      {email("It <it@acme.example>"), "adminEmail", "e-mail"},
		"two addresses":       {email("a@acme.example, b@acme.example"), "adminEmail", "e-mail"},
		"a header":            {email("it@acme.example\r\nBcc: x@y.example"), "adminEmail", "e-mail"},
		"a NUL in it":         {email("\"i\x00t\"@acme.example"), "adminEmail", "e-mail"},
		"a long address":      {email(strings.Repeat("x", 250) + "@acme.example"), "adminEmail", "e-mail"},
		"no destination": {func(r *rollcallv1.OnboardingRequest) {
			r.ExternalSystemUrl, r.PollCadenceMinutes = "", 15
		}, "externalSystemUrl", "a token and nothing else"},
		"two destinations":    {func(r *rollcallv1.OnboardingRequest) { r.Destination = &rollcallv1.Destination{Kind: "rest"} }, "destination", "given twice"},
		"no kind":             {destination(&rollcallv1.Destination{Url: "https://x"}), "destination.kind", "is missing"},
		"two of its tokens":   {destination(&rollcallv1.Destination{Kind: "rest", Token: "a", TokenSealed: "b"}), "destination.token", "given twice"},
		"a batch of one":      {destination(&rollcallv1.Destination{Kind: "rest", BatchSize: 1}), "destination.batchSize", "2 to 500"},
		"a batch of too many": {destination(&rollcallv1.Destination{Kind: "rest", BatchSize: 501}), "destination.batchSize", "2 to 500"},
		"a negative batch":    {destination(&rollcallv1.Destination{Kind: "rest", BatchSize: -2}), "destination.batchSize", "2 to 500"},
		"its token is broken": {destination(&rollcallv1.Destination{Kind: "rest", Token: "a b"}), "destination.token", "spaces"},
		"nor is it sealed":    {destination(&rollcallv1.Destination{Kind: "rest", TokenSealed: "a b"}), "destination.tokenSealed", "spaces"},
		"negative a second":   {perSecond(-1), "limits.requestsPerSecond", "0.001 to 100000"},
		"too many a second":   {perSecond(rollcallv1.MaxRequestsPerSecond + 1), "limits.requestsPerSecond", "0.001 to 100000"},
		"next to none":        {perSecond(1e-300), "limits.requestsPerSecond", "0.001 to 100000"},
		"NaN a second":        {perSecond(math.NaN()), "limits.requestsPerSecond", "0.001 to 100000"},
		"infinitely many":     {perSecond(math.Inf(1)), "limits.requestsPerSecond", "0.001 to 100000"},
		"negative a minute":   {perMinute(-1), "limits.requestsPerMinute", "no limit"},
		"the year 1970":       {func(r *rollcallv1.OnboardingRequest) { r.BackfillNotBefore = &timestamppb.Timestamp{} }, "backfillNotBefore", "2099"},
		"the year 5138":       {func(r *rollcallv1.OnboardingRequest) { r.BackfillNotBefore = &timestamppb.Timestamp{Seconds: 1e11} }, "backfillNotBefore", "2099"},
		"NaN a minute":        {perMinute(math.NaN()), "limits.requestsPerMinute", "no limit"},
		"too many a minute":   {perMinute(60*rollcallv1.MaxRequestsPerSecond + 1), "limits.requestsPerMinute", "no limit"},
		"next to none either": {perMinute(1e-300), "limits.requestsPerMinute", "0.06"},
	} {
		errs := valid(c.change).Validate("acme", false)
		require.Equal(t, []string{c.field}, fieldsOf(errs), name)
		require.Contains(t, errs[c.field][0], c.says, name)
	}
}

func TestRequestWithOnlyATokenIsValidAndOneWithSettingsNeedsADestination(t *testing.T) {
	t.Parallel()
	for _, alone := range []string{
		`{"customerId":"acme","vomoToken":"12|abc"}`, `{"customerId":"acme","vomoTokenSealed":"X.y"}`,
		`{"customerId":"acme","vomoToken":"12|abc","adminEmail":null,"limits":null}`, `{"customerId":"acme"}`, // as stored, without its token
	} {
		request := &rollcallv1.OnboardingRequest{}
		require.Empty(t, rollcallv1.Decode([]byte(alone), request), alone)
		require.True(t, request.TokenOnly(), alone)
	}
	for _, more := range []string{
		`"pollCadenceMinutes":15`, `"adminEmail":"it@acme.example"`, `"limits":{}`, `"limits":{"requestsPerMinute":0}`, `"destination":{}`,
		`"backfillNotBefore":"2026-11-20T22:00:00Z"`, `"quietHours":{"from":"08:00","to":"18:00","zone":"UTC"}`,
		`"externalSystemUrl":"https://crm.example.org"`,
	} {
		request := &rollcallv1.OnboardingRequest{}
		require.Empty(t, rollcallv1.Decode([]byte(`{"customerId":"acme","vomoToken":"12|abc",`+more+`}`), request), more)
		require.False(t, request.TokenOnly(), more)
	}
	alone := &rollcallv1.OnboardingRequest{CustomerId: "acme", VomoToken: "12|abc"}
	require.Empty(t, alone.Validate("acme", false))
	require.Equal(t, []string{"vomoToken"}, fieldsOf(alone.Validate("acme", true)), "the token must be sealed if the installation requires it")
	alone.VomoToken = ""
	require.Equal(t, []string{"vomoToken"}, fieldsOf(alone.Validate("acme", false)), "a request without a token asks for nothing")
}

func TestUnencryptedTokensAreRejectedIfSealedTokensAreRequired(t *testing.T) {
	t.Parallel()
	request := valid(func(r *rollcallv1.OnboardingRequest) {
		r.ExternalSystemUrl, r.Destination = "", &rollcallv1.Destination{Kind: "rest", Url: "https://x", Token: "clear"}
	})
	require.Empty(t, request.Validate("acme", false))

	errs := request.Validate("acme", true)

	require.Equal(t, []string{"destination.token", "vomoToken"}, fieldsOf(errs))
	require.Contains(t, errs["vomoToken"][0], "rollcall key")
	request.VomoToken, request.VomoTokenSealed = "", "X.y"
	request.Destination.Token, request.Destination.TokenSealed = "", "X.z"
	require.Empty(t, request.Validate("acme", true))
}

func TestCustomerIDMayBeSubjectTokenAndPartOfFileName(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"a", "0", "acme", "acme-2_x", strings.Repeat("a", 63)} {
		require.True(t, rollcallv1.ValidCustomerID(id), id)
	}
	for _, id := range []string{
		"", "-a", "_unknown", "Acme", "a.b", "a*", ">", "a b", "a\n", "a/b", "..", "é", "a\x00", strings.Repeat("a", 64),
	} {
		require.False(t, rollcallv1.ValidCustomerID(id), "%q", id)
	}
	require.False(t, rollcallv1.ValidCustomerID(rollcallv1.UnknownCustomer), "no customer can have this id")
}

func TestRequestsMustNameTheCustomerOfTheirSubject(t *testing.T) {
	t.Parallel()
	for id, valid := range map[string]bool{"acme": true, "": false, "globex": false, "A": false} {
		require.Equal(t, valid, len((&rollcallv1.OffboardRequest{CustomerId: id}).Validate("acme")) == 0, id)
		require.Equal(t, valid, len((&rollcallv1.BackfillRequest{CustomerId: id}).Validate("acme")) == 0, id)
	}
	errs := (&rollcallv1.BackfillRequest{CustomerId: "acme", RunId: -1}).Validate("acme")
	require.Equal(t, []string{"runId"}, fieldsOf(errs))
}

func TestOwnLimitsAreThoseThatTheRequestNames(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		limits               *rollcallv1.Limits
		perSecond, perMinute *float64
	}{
		"no limits":     {nil, nil, nil},
		"a second":      {&rollcallv1.Limits{RequestsPerSecond: 2}, new(2.0), nil},
		"a minute":      {&rollcallv1.Limits{RequestsPerMinute: new(40.0)}, nil, new(40.0)},
		"none a minute": {&rollcallv1.Limits{RequestsPerSecond: 2, RequestsPerMinute: new(0.0)}, new(2.0), new(0.0)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			perSecond, perMinute := (&rollcallv1.OnboardingRequest{Limits: test.limits}).OwnLimits()
			require.Equal(t, test.perSecond, perSecond)
			require.Equal(t, test.perMinute, perMinute)
		})
	}
}
