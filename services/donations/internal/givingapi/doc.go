// Package givingapi answers what operators ask about giving: donations, gifts, contacts, webhook subscriptions, reports, and what
// reconciliations did. It shows a donor only if it is asked to, and then the read is audited. It changes rows and sends no transaction.
package givingapi
