package rollcallv1_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

func TestRulesOfResolutionAreValidated(t *testing.T) {
	t.Parallel()
	const (
		policy, owners = "virtuous.resolution.policy", "virtuous.resolution.owners"
		policies       = "must be virtuous_canonical, most_recent_wins or owners, or left out for virtuous_canonical"
		sides          = "must be partner or virtuous, or left out"
		fields         = "must have no other fields than name, email, phone, address"
		notStrings     = "has the wrong type: expected an object whose values are strings"
	)
	for text, want := range map[string]rollcallv1.FieldErrors{
		`{}`:                              {},
		`{"policy":""}`:                   {},
		`{"policy":"virtuous_canonical"}`: {},
		`{"policy":"most_recent_wins","owners":{}}`:                          {},
		`{"policy":"owners","owners":{"name":"partner","email":"virtuous"}}`: {},
		`{"owners":{"phone":"partner","address":"virtuous"}}`:                {},
		`{"policy":null,"owners":null}`:                                      {},
		`{"policy":"Owners"}`:                                                {policy: {policies}},
		`{"policy":"owners "}`:                                               {policy: {policies}},
		`{"policy":"partner"}`:                                               {policy: {policies}},
		`{"policy":1}`:                                                       {policy: {"has the wrong type: expected a string"}},
		`{"owners":{"email":"Partner"}}`:                                     {owners + ".email": {sides}},
		`{"owners":{"email":""}}`:                                            {owners + ".email": {sides}},
		`{"owners":{"name":"both","address":"none"}}`:                        {owners + ".name": {sides}, owners + ".address": {sides}},
		`{"owners":{"Email":"partner"}}`:                                     {owners: {fields}},
		`{"owners":{"ana@example.org":"x","":"y","phone":"virtuous"}}`:       {owners: {fields}},
		`{"owners":{"email":1}}`:                                             {owners: {notStrings}},
		`{"owners":{"email":null}}`:                                          {owners: {notStrings}},
		`{"owners":"partner"}`:                                               {owners: {notStrings}},
		`{"owners":["email"]}`:                                               {owners: {notStrings}},
		`{"rules":"owners"}`: {
			"virtuous.resolution.rules": {"is not a field that this version knows; check the spelling or leave it out"},
		},
		`"owners"`: {"virtuous.resolution": {"is not a JSON object, but a string"}},
	} {
		request, errs := decoded(`{"customerId":"acme","virtuous":{"token":"k","resolution":` + text + `}}`)
		if len(errs) == 0 {
			errs = request.Validate("acme", false)
		}
		if len(want) == 0 {
			require.Empty(t, errs, text)
			require.False(t, request.GetVirtuous().KeyOnly(), text)
			continue
		}
		require.Equal(t, want, errs, text)
	}
}
