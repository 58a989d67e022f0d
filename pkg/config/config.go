// Package config reads the settings that all services share from the environment.
//
// One struct defines their names, defaults, ranges and doc lines; the settings table in the README is made from it.
// If a value is out of range or cannot be parsed, the program stops with one line that names the setting and the
// values it accepts. The value of a secret is never printed. The package reads the environment, and the password
// files that settings name.
package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// Config holds every shared setting. Fields with min and max tags are checked against them.
type Config struct {
	DatabaseURL          string `env:"DATABASE_URL" secret:"true" doc:"Postgres 15 or newer: postgres://user:password@host:port/database"`
	DatabasePasswordFile string `env:"DATABASE_PASSWORD_FILE" doc:"file with the password of the user in DATABASE_URL, which then has none"`

	NATSURL          string `env:"NATS_URL" envDefault:"nats://127.0.0.1:4222" doc:"NATS servers, comma-separated"`
	NATSUser         string `env:"NATS_USER" doc:"name of our user, with NATS_PASSWORD_FILE"`
	NATSPasswordFile string `env:"NATS_PASSWORD_FILE" doc:"file with the password of NATS_USER"`
	NATSCreds        string `env:"NATS_CREDS" doc:"file with a user's JWT and seed"`
	NATSNKey         string `env:"NATS_NKEY" doc:"file with an nkey seed"`
	NATSCA           string `env:"NATS_CA" doc:"file with the CA that signed the server's certificate"`
	NATSCert         string `env:"NATS_CERT" doc:"file with our client certificate"`
	NATSKey          string `env:"NATS_KEY" doc:"file with our client certificate's key"`
	NATSReplicas     int    `env:"NATS_REPLICAS" envDefault:"1" min:"1" max:"5" doc:"replicas of each stream; rollcall migrate raises them, and lowers them only with --lower-replicas"`

	EventsMaxBytes     Bytes `env:"EVENTS_MAX_BYTES" envDefault:"2GiB" min:"1MiB" max:"1024TiB" doc:"how much ROLLCALL_EVENTS may hold; the oldest events go first"`
	AlertsMaxBytes     Bytes `env:"ALERTS_MAX_BYTES" envDefault:"256MiB" min:"1MiB" max:"1024TiB" doc:"how much ROLLCALL_ALERTS may hold; the oldest alerts go first"`
	AdvisoriesMaxBytes Bytes `env:"ADVISORIES_MAX_BYTES" envDefault:"256MiB" min:"1MiB" max:"1024TiB" doc:"how much ROLLCALL_ADVISORIES may hold; the oldest go first"`
	DLQMaxBytes        Bytes `env:"DLQ_MAX_BYTES" envDefault:"1GiB" min:"1MiB" max:"1024TiB" doc:"how much ROLLCALL_DLQ may hold; a full one takes no more letters, which wait in Postgres"`

	VomoBaseURL           string  `env:"VOMO_BASE_URL" envDefault:"https://api.vomo.org/v1" doc:"VOMO's API"`
	VomoRequestsPerSecond float64 `env:"VOMO_REQUESTS_PER_SECOND" envDefault:"3" min:"0.001" max:"100000" doc:"requests a second to VOMO for one customer, over all processes"`
	VomoRequestsPerMinute float64 `env:"VOMO_REQUESTS_PER_MINUTE" envDefault:"100" min:"0" max:"6000000" doc:"requests a minute to VOMO for one customer, over all processes; 0: no such limit"`

	VirtuousBaseURL           string  `env:"VIRTUOUS_BASE_URL" envDefault:"https://api.virtuoussoftware.com" doc:"Virtuous CRM+'s API; a path in it stands before /api"`
	VirtuousAppURL            string  `env:"VIRTUOUS_APP_URL" envDefault:"https://app.virtuoussoftware.com" doc:"where people use Virtuous CRM+; the console links contacts and gifts there"`
	VirtuousRequestsPerHour   float64 `env:"VIRTUOUS_REQUESTS_PER_HOUR" envDefault:"1200" min:"10" max:"10000000" doc:"requests an hour to Virtuous for one customer, over all processes, until Virtuous has said what its limit is"`
	VirtuousShare             float64 `env:"VIRTUOUS_SHARE" envDefault:"0.6" min:"0.01" max:"1" doc:"the share of Virtuous' own limit that is used then; other integrations of the customer spend the same limit"`
	VirtuousTransactionSource string  `env:"VIRTUOUS_TRANSACTION_SOURCE" doc:"the source under which Virtuous knows donations of customers that name none of their own"`
	VirtuousBatch             int     `env:"VIRTUOUS_BATCH" envDefault:"1" min:"1" max:"100" doc:"transactions of donations that one request sends to Virtuous at most; 1: each has a request of its own"`

	ProjectCheck string `env:"PROJECT_CHECK" envDefault:"refuse" oneof:"refuse,warn,off" doc:"what becomes of a donation whose designations name a project that Virtuous does not have, or that is inactive: refuse rejects it, warn logs it, off checks nothing"`

	SecretsURL          string `env:"SECRETS_URL" envDefault:"dev" secret:"true" doc:"keeper of the customers' keys: base64key://…, hashivault://…, or dev (a local key file; dev:<path> says where)"`
	SecretsURLNext      string `env:"SECRETS_URL_NEXT" secret:"true" doc:"a second keeper, while keys are rotated: what it sealed is opened, and rollcall secrets rotate rotates to it"`
	RequireSealedTokens bool   `env:"REQUIRE_SEALED_TOKENS" envDefault:"false" doc:"reject tokens in the clear in onboarding messages"`

	HTTPAddr                 string        `env:"HTTP_ADDR" envDefault:"127.0.0.1:0" doc:"where health and metrics are served; port 0 takes a free one"`
	HTTPProfiles             bool          `env:"HTTP_PROFILES" envDefault:"false" doc:"serve Go's profiles under /debug/pprof/ of HTTP_ADDR, for everybody who can reach it"`
	AllowPrivateDestinations bool          `env:"ALLOW_PRIVATE_DESTINATIONS" envDefault:"false" doc:"accept destinations with private, loopback, link-local or reserved addresses; judged by the URL and again by the address that is dialled"`
	AllowPrivateHosts        string        `env:"ALLOW_PRIVATE_HOSTS" doc:"destinations that may have such an address although the others may not: host:port, comma-separated"`
	ClaimTimeout             time.Duration `env:"CLAIM_TIMEOUT" envDefault:"30s" min:"2s" max:"10m" doc:"after how long the work of a dead worker is taken over"`

	BackfillSlots    int           `env:"BACKFILL_SLOTS" envDefault:"24" min:"1" max:"256" doc:"customers that one backfill worker works at once, at most; how many goes by the load"`
	BackfillTurn     time.Duration `env:"BACKFILL_TURN" envDefault:"1m" min:"1s" max:"1h" doc:"how long a backfill keeps its slot before it queues again behind the others"`
	BackfillTries    int           `env:"BACKFILL_TRIES" envDefault:"10" min:"1" max:"1000" doc:"claims without a committed page before a backfill is given up"`
	DestinationSlots int           `env:"DESTINATION_CONCURRENCY" envDefault:"16" min:"1" max:"256" doc:"writes to one customer's destination under way at once, by one worker"`
	OnboardingSlots  int           `env:"ONBOARDING_SLOTS" envDefault:"8" min:"1" max:"256" doc:"onboarding messages handled at once by one process"`

	PollSlots          int           `env:"POLL_SLOTS" envDefault:"64" min:"1" max:"1024" doc:"customers that one poller polls at once"`
	ReconcileSlots     int           `env:"RECONCILE_SLOTS" envDefault:"16" min:"1" max:"256" doc:"customers that one reconciler works at once"`
	WritebackSlots     int           `env:"WRITEBACK_SLOTS" envDefault:"16" min:"1" max:"256" doc:"customers whose write-backs one process works at once, and messages that it accepts at once"`
	ParticipationShare float64       `env:"PARTICIPATION_SHARE" envDefault:"0.1" min:"0.01" max:"1" doc:"share of a customer's requests to VOMO that nothing else uses with which its users' participations are read; at least one request a minute"`
	DLQSlots           int           `env:"DLQ_SLOTS" envDefault:"16" min:"1" max:"256" doc:"customers whose dead letters one dlqretry retries at once"`
	DLQRetryAttempts   int           `env:"DLQ_RETRY_ATTEMPTS" envDefault:"12" min:"1" max:"1000" doc:"after how many attempts a dead letter is left to an operator"`
	DLQRetryAge        time.Duration `env:"DLQ_RETRY_AGE" envDefault:"24h" min:"1m" max:"8760h" doc:"after which total retry delay a dead letter is left to an operator; time in outages or while paused is not counted"`
	DLQMaxAge          time.Duration `env:"DLQ_MAX_AGE" envDefault:"72h" min:"1m" max:"8760h" doc:"how old a dead letter may become before an alert is raised"`
	DLQGrowth          int           `env:"DLQ_GROWTH" envDefault:"100" min:"1" max:"1000000" doc:"how many dead letters of one customer within an hour raise an alert"`

	DeletionGuard              float64       `env:"DELETION_GUARD" envDefault:"0.05" min:"0" max:"1" doc:"which share of a customer's users a deletion scan may delete without an operator's approval"`
	DeletionGuardMin           int           `env:"DELETION_GUARD_MIN" envDefault:"10" min:"0" max:"1000000" doc:"how many users it may delete in any case without an approval, unless they are all"`
	DeletionCandidateRetention time.Duration `env:"DELETION_CANDIDATE_RETENTION" envDefault:"720h" min:"168h" max:"8760h" doc:"how long users that a deletion scan missed or deleted are kept, with what identifies them sealed"`

	AuditRetention    time.Duration `env:"AUDIT_RETENTION" envDefault:"9600h" min:"0" max:"87600h" doc:"how long lines of the audit, what reconciliations with Virtuous did, and reports of giving are kept: whole months are dropped after it; 0: for ever, otherwise 24h or more"`
	OperatorAuditAge  time.Duration `env:"OPERATOR_AUDIT_AGE" envDefault:"9600h" min:"0" max:"87600h" doc:"how long it is kept who did what; 0: for ever"`
	JobLogAge         time.Duration `env:"JOB_LOG_AGE" envDefault:"336h" min:"24h" max:"87600h" doc:"how long the job log keeps lines of polls, reconciliations and retries; backfills' stay"`
	SettledLettersAge time.Duration `env:"SETTLED_LETTERS_AGE" envDefault:"2160h" min:"0" max:"87600h" doc:"how long settled letters and review items are kept; open ones always are; 0: for ever"`
	ClearedAlertsAge  time.Duration `env:"CLEARED_ALERTS_AGE" envDefault:"2160h" min:"0" max:"87600h" doc:"how long cleared alerts are kept; 0: for ever"`
	ReconcileGapsAge  time.Duration `env:"RECONCILE_GAPS_AGE" envDefault:"2160h" min:"0" max:"87600h" doc:"how long the gaps that a reconciliation found are kept; their number stays; 0: for ever"`
	NotificationsAge  time.Duration `env:"NOTIFICATIONS_AGE" envDefault:"960h" min:"744h" max:"87600h" doc:"how long it is kept which notice was sent: longer than ROLLCALL_ALERTS keeps its message, which would be sent again"`
	ScanSeenAge       time.Duration `env:"SCAN_SEEN_AGE" envDefault:"0s" min:"0" max:"8760h" doc:"how long the ids that a scan saw are kept after it has ended"`
	OutboxAge         time.Duration `env:"OUTBOX_AGE" envDefault:"0s" min:"0" max:"87600h" doc:"after which time an event that NATS does not accept is given up; requests and alerts never are; 0: never, otherwise 24h or more"`
	AdvisoriesAge     time.Duration `env:"ADVISORIES_AGE" envDefault:"168h" min:"1h" max:"87600h" doc:"how long ROLLCALL_ADVISORIES keeps the server's reports; rollcall migrate sets it"`
	ArchiveAfter      time.Duration `env:"ARCHIVE_AFTER" envDefault:"0s" min:"0" max:"87600h" doc:"after which time the mapping of a customer that is paused or switched off is archived, compressed and sealed; 0: never, otherwise 24h or more"`

	OffboardRetention time.Duration `env:"OFFBOARD_RETENTION" envDefault:"720h" min:"0s" max:"87600h" doc:"how long an offboarded customer's mapping is kept, so that its return needs no backfill; 0s: not at all"`

	EventsIncludeUser bool `env:"EVENTS_INCLUDE_USER" envDefault:"false" doc:"put the user's record into user.created and user.updated; an offboarding erases these events"`

	SMTPURL            string `env:"SMTP_URL" secret:"true" doc:"mail server: smtp://user:password@host:587 (STARTTLS), smtps://…:465, or smtp://host:25?tls=none; none: no mail is sent"`
	MailFrom           string `env:"MAIL_FROM" doc:"sender of mails; needed with SMTP_URL"`
	AlertMailTo        string `env:"ALERT_MAIL_TO" doc:"operators' addresses, comma-separated, that alerts are mailed to"`
	AlertWebhookURL    string `env:"ALERT_WEBHOOK_URL" secret:"true" doc:"where alerts are posted: a Standard Webhooks receiver, or a Slack incoming webhook"`
	AlertWebhookSecret string `env:"ALERT_WEBHOOK_SECRET" secret:"true" doc:"signs the posts: whsec_ and base64; none: they are not signed"`

	WebhookAddr            string        `env:"WEBHOOK_ADDR" envDefault:"127.0.0.1:0" doc:"where the service webhooks receives deliveries of Virtuous; port 0 takes a free one"`
	WebhookPublicURL       string        `env:"WEBHOOK_PUBLIC_URL" doc:"where Virtuous reaches the service webhooks, such as https://hooks.example.org; needed to create a webhook subscription"`
	WebhookSignatureHeader string        `env:"WEBHOOK_SIGNATURE_HEADER" envDefault:"X-Virtuous-Signature" doc:"the header with a delivery's HMAC-SHA256, in base64 or hex"`
	WebhookMaxBody         Bytes         `env:"WEBHOOK_MAX_BODY" envDefault:"8MiB" min:"64KiB" max:"64MiB" doc:"the longest delivery that is accepted; a longer one is answered 413"`
	WebhookInboxAge        time.Duration `env:"WEBHOOK_INBOX_AGE" envDefault:"720h" min:"24h" max:"87600h" doc:"how long applied parts of deliveries are kept, so that they can be applied again"`

	GivingReconcileEvery time.Duration `env:"GIVING_RECONCILE_EVERY" envDefault:"6h" min:"1m" max:"168h" doc:"how long after a reconciliation with Virtuous began the next one begins, for each customer"`

	GivingReportLimits string `env:"GIVING_REPORT_LIMITS" doc:"from which values on the report of giving says look and act, such as needsReview=5/50,pending=2h/24h; what is not named has its default"`

	GivingAlertFloors string `env:"GIVING_ALERT_FLOORS" doc:"above which values an unusual figure of the report of giving raises an alert, such as failed=20,latency=36h; what is not named has its default"`

	GivingPendingAge time.Duration `env:"GIVING_PENDING_AGE" envDefault:"4h" min:"5m" max:"720h" doc:"how long a donation may wait to be sent to Virtuous before an alert is raised"`

	ConsolePublicURL      string        `env:"CONSOLE_PUBLIC_URL" doc:"where browsers reach the console, such as https://rollcall.example.org; needed for links and OIDC unless they use HTTP_ADDR itself"`
	ConsoleFrameAncestors string        `env:"CONSOLE_FRAME_ANCESTORS" doc:"sites that may show a customer's pages in a frame, such as https://app.example.org, comma-separated; needs a CONSOLE_PUBLIC_URL with https"`
	ConsoleSessionAge     time.Duration `env:"CONSOLE_SESSION_AGE" envDefault:"24h" min:"5m" max:"720h" doc:"after how long a person has to sign in to the console again"`
	IdempotencyKeyAge     time.Duration `env:"IDEMPOTENCY_KEY_AGE" envDefault:"24h" min:"1h" max:"720h" doc:"for how long the HTTP API answers a repeated request with the first answer"`
	ConsoleSessionIdle    time.Duration `env:"CONSOLE_SESSION_IDLE" envDefault:"8h" min:"5m" max:"720h" doc:"after how long without a request a browser is signed out"`
	OIDCIssuer            string        `env:"OIDC_ISSUER" doc:"OpenID Connect: the issuer's URL; none: people sign in with an API token"`
	OIDCClientID          string        `env:"OIDC_CLIENT_ID" doc:"the console's client id at the issuer; its redirect URI is CONSOLE_PUBLIC_URL and /sign-in/oidc/callback"`
	OIDCClientSecret      string        `env:"OIDC_CLIENT_SECRET" secret:"true" doc:"the secret of OIDC_CLIENT_ID; none: a public client, with PKCE alone"`
	OIDCGroupsClaim       string        `env:"OIDC_GROUPS_CLAIM" envDefault:"groups" doc:"the claim that lists a person's groups"`
	OIDCViewers           string        `env:"OIDC_VIEWERS" doc:"verified email addresses and groups, comma-separated, whose people may look at everything except donors"`
	OIDCOperators         string        `env:"OIDC_OPERATORS" doc:"those whose people may also act"`
	OIDCAdmins            string        `env:"OIDC_ADMINS" doc:"those whose people may also offboard customers, and administer links and API tokens"`

	TracesEndpoint       string  `env:"OTEL_EXPORTER_OTLP_ENDPOINT" doc:"where traces are sent by OTLP over HTTP, such as http://collector:4318; none: nothing is traced"`
	TracesShare          float64 `env:"OTEL_TRACES_SAMPLER_ARG" envDefault:"0.01" min:"0" max:"1" doc:"the share of the traces that begin at rollcall which is sent; a trace that began elsewhere is sent if its traceparent says so"`
	MetricsCustomerLabel bool    `env:"METRICS_CUSTOMER_LABEL" envDefault:"false" doc:"give the metrics of runs a label with the customer's id, and spans an attribute: only for few customers"`

	LogLevel  string `env:"LOG_LEVEL" envDefault:"info" oneof:"debug,info,warn,error" doc:"debug, info, warn or error"`
	LogFormat string `env:"LOG_FORMAT" envDefault:"json" oneof:"json,console" doc:"json or console"`
}

// Values of PROJECT_CHECK.
const (
	ProjectCheckRefuse = "refuse"
	ProjectCheckWarn   = "warn"
	ProjectCheckOff    = "off"
)

// Setting is one line of the settings table.
type Setting struct {
	Name    string
	Default string
	Range   string
	Doc     string
}

// FromEnvironment reads the process's environment.
func FromEnvironment() (Config, error) { return Load(os.Environ()) }

// Load reads settings from lines of the form NAME=value. The error names every wrong setting with the values it
// accepts.
func Load(environ []string) (Config, error) {
	var config Config
	options := env.Options{Environment: env.ToMap(environ)}
	// The parser continues after a value that it cannot parse. Its own error would print the value.
	unread := env.ParseWithOptions(&config, options)
	skip, problems := unreadable(options.Environment)
	if unread != nil && len(problems) == 0 {
		return Config{}, errors.New("the settings cannot be read")
	}
	value := reflect.ValueOf(config)
	for i := range value.NumField() {
		field := value.Type().Field(i)
		if skip[field.Name] {
			continue
		}
		if err := checkField(field, value.Field(i)); err != nil {
			problems = append(problems, err)
		}
	}
	problems = append(problems, config.checkTogether()...)
	problems = append(problems, readPasswords(&config)...)
	if err := errors.Join(problems...); err != nil {
		return Config{}, err
	}
	return config, nil
}

// minPerMinute is the smallest limit per minute; it is the same pace as the smallest limit per second.
const minPerMinute = 0.06

// leastRetention keeps a slip of the unit from deleting everything.
const leastRetention = 24 * time.Hour

// checkTogether checks the rules that involve several settings or the form of a text.
func (c Config) checkTogether() []error {
	problems := c.checkURLs()
	if c.VomoRequestsPerMinute > 0 && c.VomoRequestsPerMinute < minPerMinute {
		problems = append(problems, fmt.Errorf("VOMO_REQUESTS_PER_MINUTE must be 0 or at least %g", minPerMinute))
	}
	if (c.NATSCert == "") != (c.NATSKey == "") {
		problems = append(problems, errors.New("NATS_CERT and NATS_KEY must be given together"))
	}
	if c.SecretsURL == "" {
		problems = append(problems, errors.New("SECRETS_URL must not be empty: base64key://…, hashivault://… or dev"))
	}
	for name, age := range map[string]time.Duration{
		"AUDIT_RETENTION": c.AuditRetention, "OUTBOX_AGE": c.OutboxAge, "ARCHIVE_AFTER": c.ArchiveAfter,
	} {
		if age > 0 && age < leastRetention {
			problems = append(problems, fmt.Errorf("%s must be 0 or at least 24h", name))
		}
	}
	if _, err := c.privateHosts(); err != nil {
		problems = append(problems, err)
	}
	problems = append(problems, c.checkConsole()...)
	return append(problems, c.checkNotices()...)
}

func (c Config) checkURLs() []error {
	var problems []error
	if _, ok := webURL(c.VomoBaseURL); !ok {
		problems = append(problems, errors.New("VOMO_BASE_URL must be an absolute http or https URL"))
	}
	if base, ok := webURL(c.VirtuousBaseURL); !ok || base.User != nil {
		problems = append(problems, errors.New("VIRTUOUS_BASE_URL must be an absolute http or https URL without a password"))
	}
	if app, ok := webURL(c.VirtuousAppURL); !ok || app.User != nil || app.RawQuery != "" || app.Fragment != "" {
		problems = append(problems, errors.New("VIRTUOUS_APP_URL must be an absolute http or https URL without a password, query or fragment"))
	}
	if public, ok := webURL(c.WebhookPublicURL); c.WebhookPublicURL != "" && (!ok || public.User != nil || public.RawQuery != "" || public.Fragment != "") {
		problems = append(problems, errors.New("WEBHOOK_PUBLIC_URL must be an absolute http or https URL without a password, query or fragment"))
	}
	if _, ok := webURL(c.TracesEndpoint); c.TracesEndpoint != "" && !ok {
		problems = append(problems, errors.New("OTEL_EXPORTER_OTLP_ENDPOINT must be an absolute http or https URL"))
	}
	return problems
}

// webURL parses a URL; ok is false if it is not an absolute http or https URL.
func webURL(text string) (parsed *url.URL, ok bool) {
	parsed, err := url.Parse(text)
	return parsed, err == nil && (parsed.Scheme == "https" || parsed.Scheme == "http") && parsed.Host != ""
}

// unreadable returns the settings whose text cannot be parsed, without printing the text. It follows the parser's
// rules.
func unreadable(environment map[string]string) (names map[string]bool, problems []error) {
	names = map[string]bool{}
	for field := range reflect.TypeFor[Config]().Fields() {
		text := environment[field.Tag.Get("env")]
		if text == "" {
			continue // the default
		}
		var err error
		switch field.Type {
		case reflect.TypeFor[int]():
			_, err = strconv.ParseInt(text, 10, 32)
		case reflect.TypeFor[float64]():
			_, err = strconv.ParseFloat(text, 64)
		case reflect.TypeFor[bool]():
			_, err = strconv.ParseBool(text)
		case reflect.TypeFor[time.Duration]():
			_, err = time.ParseDuration(text)
		case reflect.TypeFor[Bytes]():
			_, err = parseBytes(text)
		default:
			continue
		}
		if err != nil {
			names[field.Name] = true
			problems = append(problems, fmt.Errorf("%s cannot be read: expected %s", field.Tag.Get("env"), wanted(field)))
		}
	}
	return names, problems
}

func checkField(field reflect.StructField, value reflect.Value) error {
	name := field.Tag.Get("env")
	if allowed := field.Tag.Get("oneof"); allowed != "" {
		for word := range strings.SplitSeq(allowed, ",") {
			if value.String() == word {
				return nil
			}
		}
		return fmt.Errorf("%s must be one of %s", name, allowed)
	}
	low, high := field.Tag.Get("min"), field.Tag.Get("max")
	if low == "" {
		return nil
	}
	number, err := asNumber(field.Type, value)
	if err != nil {
		return err
	}
	lowest, err := bound(field.Type, low)
	if err != nil {
		return err
	}
	highest, err := bound(field.Type, high)
	if err != nil {
		return err
	}
	if !(number >= lowest && number <= highest) { // written so that it rejects NaN too
		return fmt.Errorf("%s is out of range: %s", name, wanted(field))
	}
	return nil
}

func asNumber(kind reflect.Type, value reflect.Value) (float64, error) {
	switch kind.Kind() {
	case reflect.Int, reflect.Int64:
		return float64(value.Int()), nil
	case reflect.Float64:
		return value.Float(), nil
	default:
		return 0, fmt.Errorf("a range on a %s", kind)
	}
}

func bound(kind reflect.Type, text string) (float64, error) {
	if kind == reflect.TypeFor[time.Duration]() {
		duration, err := time.ParseDuration(text)
		return float64(duration), err
	}
	if kind == reflect.TypeFor[Bytes]() {
		bytes, err := parseBytes(text)
		return float64(bytes), err
	}
	return strconv.ParseFloat(text, 64)
}

func wanted(field reflect.StructField) string {
	kind := map[reflect.Type]string{
		reflect.TypeFor[int](): "a whole number", reflect.TypeFor[float64](): "a number",
		reflect.TypeFor[bool](): "true or false", reflect.TypeFor[time.Duration](): "a duration such as 30s",
		reflect.TypeFor[Bytes](): "a size such as 256MiB",
	}[field.Type]
	if low := field.Tag.Get("min"); low != "" {
		return fmt.Sprintf("%s, %s to %s", kind, low, field.Tag.Get("max"))
	}
	return kind
}

// Settings lists every shared setting, in the order of the struct: the README's table is checked against it.
func Settings() []Setting {
	fields := reflect.TypeFor[Config]()
	settings := make([]Setting, 0, fields.NumField())
	for field := range fields.Fields() {
		tag := field.Tag
		setting := Setting{Name: tag.Get("env"), Default: tag.Get("envDefault"), Doc: tag.Get("doc")}
		if low := tag.Get("min"); low != "" {
			setting.Range = low + " to " + tag.Get("max")
		}
		settings = append(settings, setting)
	}
	return settings
}
