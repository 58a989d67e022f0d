package operatoraudit

import (
	"fmt"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// MessageAct returns the act of an operator who published a message, with its outcome. A repeated delivery of the message
// has the same origin.
func MessageAct(delivery *worker.Delivery, verb, customer, outcome, code string) store.Act {
	act := store.Act{
		Via: store.ViaMessage, Verb: verb, Outcome: outcome, Code: code,
		Origin: fmt.Sprintf("%s/%d/%d", delivery.Stream, delivery.Published.UnixNano(), delivery.Sequence),
	}
	if customer == rollcallv1.UnknownCustomer || rollcallv1.ValidCustomerID(customer) {
		act.Customer = customer
	}
	Identify(&act, delivery.Header)
	return act
}
