package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"google.golang.org/protobuf/encoding/protojson"

	"rollcall.dev/pkg/giving/resolution"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// errMirrorKept means that a customer returns with Virtuous alone while its mapping and destination are still kept for a return of its mirror.
var errMirrorKept = errors.New("the customer's mirror is kept")

// fieldGivenSecret is the field of an error about the webhook secret as such; the message may have it sealed.
const fieldGivenSecret = "virtuous.webhookSecret"

// noPublicURL is the error of a request for a subscription that has no address.
const noPublicURL = "needs the installation's setting WEBHOOK_PUBLIC_URL: set it, or leave this out"

// judgeGiving returns whether the request changes something of the customer's giving, and fills in the settings as they are to be.
func (s *settler) judgeGiving(ctx context.Context, tx *store.Tx, proposed *proposal) (verdict, error) {
	customer := proposed.pending.Customer
	current, err := tx.Customer(ctx, customer)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return verdict{}, err
	}
	known := err == nil && current.OffboardedAt == nil
	before, err := tx.VirtuousConfig(ctx, customer)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return verdict{}, err
	}
	if err == nil {
		proposed.givingBefore = &before
	}
	if proposed.request.GetVirtuous().GetRemove() {
		return judgeRemoval(current, known, proposed), nil
	}
	if proposed.keepsTokens { // another credential, or a rejection, may have come since they were tested
		if keeps, err := s.hasToken(ctx, tx.Conn, customer, proposed.secrets.VirtuousRefreshToken); err != nil || !keeps {
			return verdict{}, errors.Join(err, errSidesChanged)
		}
	}
	if err := s.wantedGiving(proposed); err != nil {
		return verdict{}, err
	}
	if errs := s.givingErrors(proposed); len(errs) > 0 {
		proposed.secrets.noteUsed(errs)
		return verdict{rejected: errs}, nil
	}
	if !known && !proposed.sides.Mirror && current.Mirrors() { // also if no user was mapped: it would be polled without a token
		return verdict{}, errMirrorKept
	}
	same, err := s.isSameGiving(ctx, tx, current, *proposed)
	if err != nil || !known || !same {
		return verdict{outcome: store.RequestApplied}, err
	}
	return verdict{outcome: store.RequestDuplicate}, nil
}

// givingErrors returns what is wrong with a request for the customer as it is.
func (s *settler) givingErrors(proposed *proposal) rollcallv1.FieldErrors {
	errs := rollcallv1.FieldErrors{}
	if proposed.giving.TransactionSource == "" && s.source == "" {
		errs.Add(fieldSource, rollcallv1.MissingSource)
	}
	if proposed.request.GetVirtuous().GetCreateWebhook() && s.publicURL == "" {
		errs.Add(fieldCreateWebhook, noPublicURL)
	}
	before, accepted := proposed.givingBefore, proposed.request.GetVirtuous().GetAcceptOtherOrganization()
	if before != nil && before.OrganizationID != organizationID(proposed.organization) && !accepted {
		errs.Add(proposed.secrets.keyField(), "belongs to another organization than the key before: give one of that organization, or set "+
			"acceptOtherOrganization, which forgets the gifts and contacts of the other one")
	}
	return errs
}

// judgeRemoval returns whether there is something to remove. The only side of a customer is not removed: it would leave a customer with
// nothing, and with data that no offboarding deletes.
func judgeRemoval(current store.Customer, known bool, proposed *proposal) verdict {
	switch {
	case !known, proposed.givingBefore == nil, proposed.givingBefore.DisabledReason == store.GivingRemoved:
		return verdict{outcome: store.RequestDuplicate}
	case !current.Mirrors() && !proposed.sides.Mirror:
		errs := rollcallv1.FieldErrors{}
		errs.Add(fieldRemove, "would leave the customer without any side: offboard the customer instead")
		return verdict{rejected: errs}
	}
	return verdict{outcome: store.RequestApplied}
}

// wantedGiving fills in the settings that the request asks for. A request with only a key keeps those that there are.
func (s *settler) wantedGiving(proposed *proposal) error {
	asked, before := proposed.request.GetVirtuous(), proposed.givingBefore
	if asked.KeyOnly() && before != nil && before.RemovedAt == nil {
		proposed.giving = *before
	} else {
		var err error
		if proposed.giving, err = givingOf(asked); err != nil {
			return err
		}
	}
	proposed.giving.Customer = proposed.pending.Customer
	found := proposed.organization
	proposed.giving.OrganizationID, proposed.giving.OrganizationName, proposed.giving.Culture = organizationID(found), found.Name, found.Culture
	proposed.giving.TimeZone = found.TimeZone
	if found.Zone != nil { // Virtuous may name it as Windows does
		proposed.giving.TimeZone = found.Zone.String()
	}
	return nil
}

func organizationID(found virtuous.Organization) string { return strconv.FormatInt(found.ID, 10) }

// givingOf returns the settings that a message has, with the defaults of those that it leaves out.
func givingOf(asked *rollcallv1.Virtuous) (store.VirtuousConfig, error) {
	defaults := []byte("{}")
	if asked.GetDefaults() != nil {
		var err error
		if defaults, err = protojson.Marshal(asked.GetDefaults()); err != nil {
			return store.VirtuousConfig{}, fmt.Errorf("encode defaults: %w", err)
		}
	}
	rules := resolution.Rules{Policy: asked.GetResolution().GetPolicy(), Owners: asked.GetResolution().GetOwners()}
	encodedRules, err := rules.Encode()
	if err != nil {
		return store.VirtuousConfig{}, err
	}
	return store.VirtuousConfig{
		TransactionSource: asked.GetTransactionSource(), DesignationsField: orText(asked.GetDesignationsField(), rollcallv1.FieldDesignations),
		Defaults:              defaults,
		NeedsReviewAfterHours: orNumber(asked.GetNeedsReviewAfterHours(), rollcallv1.DefaultNeedsReviewAfterHours),
		StuckAfterHours:       orNumber(asked.GetStuckAfterHours(), rollcallv1.DefaultStuckAfterHours),
		ImportsURL:            asked.GetImportsUrl(), GiftsSince: asked.GetGiftsSince(), CreateWebhook: asked.GetCreateWebhook(),
		Resolution: encodedRules,
	}, nil
}

func orText(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func orNumber(n int32, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return int(n)
}

// isSameGiving returns whether the request asks for nothing new.
func (s *settler) isSameGiving(ctx context.Context, tx *store.Tx, current store.Customer, proposed proposal) (bool, error) {
	before := proposed.givingBefore
	if before == nil || !before.Enabled || !isSameGivingConfig(*before, proposed.giving) {
		return false, nil
	}
	if email := proposed.request.GetAdminEmail(); email != "" && !proposed.sides.Mirror && !equal(current.AdminEmail, &email) {
		return false, nil
	}
	same, err := proposed.keepsTokens, error(nil)
	if proposed.secrets.VirtuousRefreshToken == "" {
		same, err = s.isSameSecret(ctx, tx, before.Customer, store.CredentialVirtuousToken, proposed.secrets.VirtuousToken)
	}
	if err != nil || !same || proposed.secrets.WebhookSecret == "" {
		return same && err == nil, err
	}
	return s.isSameSecret(ctx, tx, before.Customer, store.CredentialWebhookSecret, proposed.secrets.WebhookSecret)
}

// isSameGivingConfig compares what a request sets, and what Virtuous says of the organization.
func isSameGivingConfig(current, wanted store.VirtuousConfig) bool {
	for _, config := range []*store.VirtuousConfig{&current, &wanted} {
		*config = store.VirtuousConfig{
			TransactionSource: config.TransactionSource, DesignationsField: config.DesignationsField, Defaults: config.Defaults,
			Resolution:            config.Resolution,
			NeedsReviewAfterHours: config.NeedsReviewAfterHours, StuckAfterHours: config.StuckAfterHours, ImportsURL: config.ImportsURL,
			GiftsSince: config.GiftsSince, CreateWebhook: config.CreateWebhook, OrganizationID: config.OrganizationID,
			OrganizationName: config.OrganizationName, TimeZone: config.TimeZone, Culture: config.Culture,
		}
	}
	same := isSameJSON(current.Defaults, wanted.Defaults) && isSameJSON(current.Resolution, wanted.Resolution)
	current.Defaults, wanted.Defaults, current.Resolution, wanted.Resolution = nil, nil, nil, nil
	return same && reflect.DeepEqual(current, wanted)
}

// isSameJSON compares values, not bytes, because Postgres formats JSON in its own way.
func isSameJSON(one, other []byte) bool {
	var a, b any
	return json.Unmarshal(one, &a) == nil && json.Unmarshal(other, &b) == nil && reflect.DeepEqual(a, b)
}
