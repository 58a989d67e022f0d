package telemetry

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"
)

// Names of spans. Those about messages are made of an operation and a destination, as the conventions for messaging have it.
const (
	SpanSettleRequest = "settle onboarding request"
	SpanPage          = "page"
	SpanReadPage      = "read page"
	SpanReadUser      = "read user"
	SpanUpsertUser    = "upsert user"
	SpanCompare       = "compare page"
	SpanWriteBatch    = "write batch"
	SpanWriteRecord   = "write record"
	SpanDeleteRecord  = "delete record"
	SpanCommit        = "commit page"
	SpanCommitDeleted = "commit deletions"

	spanCreate  = "create"
	runPrefix   = "run "
	roundPrefix = "round "
	apiPrefix   = "answer "
)

// SpanRun is the name of one execution of a run, by its kind.
func SpanRun(kind string) string { return runPrefix + kind }

// SpanRound is the name of one round of a customer's due rows, by its job.
func SpanRound(job string) string { return roundPrefix + job }

// SpanAPI is the name of an operator's question, by its noun and verb.
func SpanAPI(name string) string { return apiPrefix + name }

// Operations on messages (semantic conventions for messaging, which are still in development).
const (
	operationSend    = "send"
	operationProcess = "process"
)

// Attributes of messages, with the names of the conventions.
const (
	keySystem        = attribute.Key("messaging.system")
	keyOperation     = attribute.Key("messaging.operation.name")
	keyOperationType = attribute.Key("messaging.operation.type")
	keyDestination   = attribute.Key("messaging.destination.name")
	keyConsumer      = attribute.Key("messaging.consumer.group.name")
	keyErrorType     = attribute.Key("error.type")
	keyStatus        = attribute.Key("http.response.status_code")
)

// Attributes of rollcall's own.
const (
	keyCustomer = attribute.Key("rollcall.customer")
	keyRun      = attribute.Key("rollcall.run.id")
	keyAttempt  = attribute.Key("rollcall.attempt")
	keyPage     = attribute.Key("rollcall.page")
	keyRecords  = attribute.Key("rollcall.records")
	keyWritten  = attribute.Key("rollcall.written")
	keySkipped  = attribute.Key("rollcall.skipped")
	keyFailed   = attribute.Key("rollcall.failed")
	keyOutcome  = attribute.Key("rollcall.outcome")
)

// Attribute is something that a span says: a number, or a word of ours.
type Attribute = attribute.KeyValue

// Run is the id of a run.
func Run(id int64) Attribute { return keyRun.Int64(id) }

// Attempt is how often something was begun.
func Attempt(number int) Attribute { return keyAttempt.Int(number) }

// Status is the HTTP status of an answer; 0: there was none.
func Status(code int) Attribute { return keyStatus.Int(code) }

// Page is the number of a page.
func Page(number int) Attribute { return keyPage.Int(number) }

// Records is how many records something concerns.
func Records(count int) Attribute { return keyRecords.Int(count) }

// Written is how many records the destination accepted.
func Written(count int) Attribute { return keyWritten.Int(count) }

// Skipped is how many records needed no write.
func Skipped(count int) Attribute { return keySkipped.Int(count) }

// Failed is how many records got a letter.
func Failed(count int) Attribute { return keyFailed.Int(count) }

// Outcome is a word for how something ended.
func Outcome(word string) Attribute { return keyOutcome.String(word) }

// destinationTokens is how many tokens of a subject are the same for all customers.
const destinationTokens = 3

// destinationOf returns the part of a subject that names no customer and no record.
func destinationOf(subject string) string {
	tokens := strings.SplitN(subject, ".", destinationTokens+1)
	return strings.Join(tokens[:min(len(tokens), destinationTokens)], ".")
}

func messaging(operation, subject string, more ...Attribute) []Attribute {
	return append(more, keySystem.String("nats"), keyOperation.String(operation), keyOperationType.String(operation),
		keyDestination.String(destinationOf(subject)))
}
