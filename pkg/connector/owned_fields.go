package connector

import "rollcall.dev/pkg/store"

// ownedFields returns the fields that the customer's external system owns, by their names in the destination. Destinations
// do not get birthday and gender; they are named all the same, because a change of them alone is not written.
func ownedFields(customer store.Customer) ([]string, error) {
	settings, err := customer.WritesBack()
	if err != nil {
		return nil, err
	}
	inDestination := map[string]string{"firstName": "first_name", "lastName": "last_name"}
	owned := make([]string, 0, len(settings.Fields))
	for _, field := range settings.Fields {
		if name, differs := inDestination[field]; differs {
			field = name
		}
		owned = append(owned, field)
	}
	return owned, nil
}
