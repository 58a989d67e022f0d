package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/window"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
	"rollcall.dev/services/console/internal/access"
)

// onboarding has the names of the onboarding message. For a customer who is known, it replaces all settings.
type onboarding struct {
	VomoToken          string                  `json:"vomoToken,omitempty" writeOnly:"true"`
	VomoTokenSealed    string                  `json:"vomoTokenSealed,omitempty" doc:"To the installation's key."`
	ExternalSystemURL  string                  `json:"externalSystemUrl,omitempty"`
	Destination        *onboardingDestination  `json:"destination,omitempty"`
	PollCadenceMinutes int32                   `json:"pollCadenceMinutes,omitempty"`
	AdminEmail         string                  `json:"adminEmail,omitempty"`
	Limits             *onboardingLimits       `json:"limits,omitempty"`
	BackfillNotBefore  *time.Time              `json:"backfillNotBefore,omitempty"`
	QuietHours         *operatorapi.QuietHours `json:"quietHours,omitempty"`
	WriteBack          *operatorapi.WriteBack  `json:"writeBack,omitempty"`
	Participations     bool                    `json:"participations,omitempty"`
	Virtuous           *onboardingVirtuous     `json:"virtuous,omitempty"`
}

type onboardingDestination struct {
	Kind           string `json:"kind"`
	URL            string `json:"url,omitempty"`
	Token          string `json:"token,omitempty" writeOnly:"true"`
	TokenSealed    string `json:"tokenSealed,omitempty"`
	BatchSize      int32  `json:"batchSize,omitempty"`
	Participations bool   `json:"participations,omitempty"`
}

type onboardingLimits struct {
	RequestsPerSecond float64  `json:"requestsPerSecond,omitempty"`
	RequestsPerMinute *float64 `json:"requestsPerMinute,omitempty"`
}

type onboardingVirtuous struct {
	Token                   string                `json:"token,omitempty" writeOnly:"true"`
	TokenSealed             string                `json:"tokenSealed,omitempty"`
	RefreshToken            string                `json:"refreshToken,omitempty" writeOnly:"true"`
	RefreshTokenSealed      string                `json:"refreshTokenSealed,omitempty"`
	WebhookSecret           string                `json:"webhookSecret,omitempty" writeOnly:"true"`
	WebhookSecretSealed     string                `json:"webhookSecretSealed,omitempty"`
	TransactionSource       string                `json:"transactionSource,omitempty"`
	CreateWebhook           bool                  `json:"createWebhook,omitempty"`
	DesignationsField       string                `json:"designationsField,omitempty"`
	Defaults                map[string]any        `json:"defaults,omitempty"`
	NeedsReviewAfterHours   int32                 `json:"needsReviewAfterHours,omitempty"`
	StuckAfterHours         int32                 `json:"stuckAfterHours,omitempty"`
	ImportsURL              string                `json:"importsUrl,omitempty"`
	Remove                  bool                  `json:"remove,omitempty" doc:"End giving."`
	AcceptOtherOrganization bool                  `json:"acceptOtherOrganization,omitempty"`
	GiftsSince              string                `json:"giftsSince,omitempty"`
	Resolution              *onboardingResolution `json:"resolution,omitempty"`
}

type onboardingResolution struct {
	Policy string            `json:"policy,omitempty"`
	Owners map[string]string `json:"owners,omitempty"`
}

func (a *api) onboardingRoutes() {
	register(a, route{
		id: "onboard-customer", method: http.MethodPost, path: "/customers/{customer}/onboardings", right: access.Customers,
		status: http.StatusAccepted, summary: "Ask to mirror a customer's VOMO organisation, or to set up its giving",
		description: "Secrets are sealed before the request is published. Its outcome is at the path onboardings/{sequence}. " +
			"For a customer who is known, a request with a destination replaces all settings.",
	}, func(ctx context.Context, by caller, input *struct {
		OfCustomer

		Body onboarding
	},
	) (operatorclient.Published, error) {
		encoded, err := json.Marshal(input.Body)
		if err != nil {
			return operatorclient.Published{}, err
		}
		request := &rollcallv1.OnboardingRequest{}
		if errs := rollcallv1.Decode(encoded, request); len(errs) > 0 {
			return operatorclient.Published{}, errs
		}
		return by.onboard(ctx, input.Customer, request)
	})
	register(a, route{
		id: "replace-vomo-token", method: http.MethodPost, path: "/customers/{customer}/vomo-token", right: access.Token,
		status: http.StatusAccepted, summary: "Replace a customer's VOMO token; all settings stay",
		description: "The token is tested before it replaces the old one: the outcome is at the path onboardings/{sequence}.",
	}, func(ctx context.Context, by caller, input *struct {
		OfCustomer

		Body struct {
			Token string `json:"token" minLength:"1" writeOnly:"true"`
		}
	},
	) (operatorclient.Published, error) {
		if _, err := by.config(ctx, input.Customer); err != nil {
			return operatorclient.Published{}, err
		}
		return by.onboard(ctx, input.Customer, &rollcallv1.OnboardingRequest{VomoToken: input.Body.Token})
	})
	register(a, route{
		id: "replace-virtuous-key", method: http.MethodPost, path: "/customers/{customer}/virtuous-key", right: access.Token,
		status: http.StatusAccepted, summary: "Replace a customer's API key of Virtuous, or its refresh token; all settings stay",
	}, func(ctx context.Context, by caller, input *struct {
		OfCustomer

		Body struct {
			Token        string `json:"token,omitempty" writeOnly:"true"`
			RefreshToken string `json:"refreshToken,omitempty" writeOnly:"true"`
		}
	},
	) (operatorclient.Published, error) {
		if _, err := by.config(ctx, input.Customer); err != nil {
			return operatorclient.Published{}, err
		}
		return by.onboard(ctx, input.Customer, &rollcallv1.OnboardingRequest{Virtuous: &rollcallv1.Virtuous{
			Token: input.Body.Token, RefreshToken: input.Body.RefreshToken,
		}})
	})
	register(a, route{
		id: "get-onboarding", method: http.MethodGet, path: "/customers/{customer}/onboardings/{sequence}", right: access.Read,
		summary: "Show the outcome of an onboarding request",
	}, func(ctx context.Context, by caller, input *struct {
		OfCustomer

		Sequence uint64 `path:"sequence"`
	},
	) (operatorapi.Request, error) {
		found, err := ask[operatorapi.RequestQuestion, operatorapi.Request](ctx, by, "requests", "get",
			operatorapi.RequestQuestion{Sequence: input.Sequence})
		if err == nil && found.CustomerID != input.Customer {
			return operatorapi.Request{}, errNotFound
		}
		return found, err
	})
	a.offboardingRoutes()
}

// onboard validates a request as the operator's command does, seals its secrets, and publishes it.
func (by caller) onboard(ctx context.Context, customer string, request *rollcallv1.OnboardingRequest) (operatorclient.Published, error) {
	request.CustomerId = customer
	errs := request.Validate(customer, false)
	window.Check(errs, request.GetQuietHours())
	if err := errs.Err(); err != nil {
		return operatorclient.Published{}, err
	}
	if err := by.Seal(ctx, request); err != nil {
		return operatorclient.Published{}, err
	}
	if err := request.Validate(customer, true).Err(); err != nil {
		return operatorclient.Published{}, err
	}
	return by.PublishRequest(ctx, customer, bus.SubjectOnboard(customer), request)
}

func (a *api) offboardingRoutes() {
	register(a, route{
		id: "plan-offboarding", method: http.MethodGet, path: "/customers/{customer}/offboarding", right: access.Admin,
		summary: "Say what an offboarding deletes and when, or how far it is; nothing is changed",
	}, func(ctx context.Context, by caller, input *OfCustomer) (operatorapi.Offboarding, error) {
		return by.offboarding(ctx, input.Customer)
	})
	register(a, route{
		id: "offboard-customer", method: http.MethodPost, path: "/customers/{customer}/offboarding", right: access.Admin,
		status: http.StatusAccepted, summary: "Ask to end a customer's mirror and destroy its credentials and its data key",
		description: "This cannot be undone, so the body repeats the customer's id.",
	}, func(ctx context.Context, by caller, input *struct {
		OfCustomer

		Body struct {
			Confirm string `json:"confirm" doc:"The customer's id."`
			Force   bool   `json:"force,omitempty" doc:"Close donations and contacts that are not in Virtuous yet."`
		}
	},
	) (operatorclient.Published, error) {
		if input.Body.Confirm != input.Customer {
			return operatorclient.Published{}, &invalidError{location: "body.confirm", text: "must be the customer's id"}
		}
		if _, err := ask[report.StatusQuestion, report.Status](ctx, by, "status", "get",
			report.StatusQuestion{CustomerID: input.Customer}); err != nil {
			return operatorclient.Published{}, err
		}
		plan, err := by.offboarding(ctx, input.Customer)
		if err != nil {
			return operatorclient.Published{}, err
		}
		giving := plan.Giving
		needsForce := giving.Queued > 0 || giving.Pending+giving.Submitted+giving.PendingContacts+giving.SubmittedContacts > 0
		if needsForce && !input.Body.Force {
			return operatorclient.Published{}, huma.Error409Conflict("donations or contacts are not in Virtuous yet, and an offboarding closes them: " +
				"wait until they are confirmed, or send force")
		}
		return by.PublishRequest(ctx, input.Customer, bus.SubjectOffboard(input.Customer),
			&rollcallv1.OffboardRequest{CustomerId: input.Customer, Force: needsForce})
	})
}

func (by caller) offboarding(ctx context.Context, customer string) (operatorapi.Offboarding, error) {
	return ask[operatorapi.OffboardingQuestion, operatorapi.Offboarding](ctx, by, "offboardings", "get",
		operatorapi.OffboardingQuestion{CustomerID: customer})
}
