// Package report computes what an operator or a customer may know from the tables: the status of a customer, and the
// answers of the operator API, whose form is package operatorapi's.
//
// It owns the status (docs/guides.md#sync-status): its groups, the reasons and the health. It promises to read only, and
// to show no secret and no person, except a customer's own address for notices among its settings. It decides nothing:
// the health that it computes is only shown.
package report
