package main

import (
	"context"
	"fmt"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/giving/subscription"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/services/donations/internal/givingapi"
)

// jobSubscription is the job under which requests about webhook subscriptions are counted.
const jobSubscription = "webhook_subscription"

// answerOperators answers what operators ask about giving. answered waits for the answers that are under way; it is never nil.
func answerOperators(
	ctx context.Context, s *service.Service, opener *connector.Virtuous, applier *inbound.Applier, sent, applied func(),
) (answered func(), err error) {
	limits, err := dailyreport.ParseLimits(s.Config.GivingReportLimits)
	if err != nil {
		return func() {}, fmt.Errorf("read GIVING_REPORT_LIMITS: %w", err)
	}
	api := &givingapi.API{
		Store: s.Store, Vault: s.Vault, Logger: s.Logger, Applier: applier, DonationPurpose: purposeDonation, Sent: sent, Applied: applied,
		Reporter: dailyreport.Reporter{Limits: limits},
		Subscriptions: &subscription.Subscriptions{
			Store: s.Store, Vault: s.Vault, Logger: s.Logger, PublicURL: s.Config.WebhookPublicURL,
			Open: func(ctx context.Context, config store.VirtuousConfig) (subscription.Client, error) {
				return opener.Open(ctx, config, nil, jobSubscription)
			},
		},
		Source: s.Config.VirtuousTransactionSource,
		Open: func(ctx context.Context, config store.VirtuousConfig, job string) (givingapi.Looker, error) {
			return opener.Open(ctx, config, nil, job)
		},
	}
	return api.Answer(ctx, s)
}
