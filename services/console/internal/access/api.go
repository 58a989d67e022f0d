package access

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
)

// API answers rollcall.api.tokens.* and rollcall.api.links.*.
type API struct {
	Service *service.Service
}

// Serve adds the endpoints.
func (a *API) Serve() error {
	return errors.Join(
		service.Answer(a.Service, "tokens", "add", a.addToken),
		service.Answer(a.Service, "tokens", "ls", a.listTokens),
		service.Answer(a.Service, "tokens", "revoke", a.revokeToken),
		service.Answer(a.Service, "links", "add", a.addLink),
		service.Answer(a.Service, "links", "ls", a.listLinks),
		service.Answer(a.Service, "links", "revoke", a.revokeLink),
	)
}

// tokenName has no space and no colon, so that a line of the audit names one token.
var tokenName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// maxTokenLife is longer than any plan. A token without a life never expires.
const maxTokenLife = 10 * 366 * 24 * time.Hour

func (a *API) addToken(ctx context.Context, asked operatorapi.TokenAddition) (operatorapi.TokenAdded, error) {
	invalid := map[string][]string{}
	if !tokenName.MatchString(asked.Name) {
		invalid["name"] = append(invalid["name"], "must be letters, digits, dots, dashes and underscores, at most 63, and begin with a letter or a digit")
	}
	rights, problem := tokenRights(asked)
	if problem != "" {
		invalid["rights"] = append(invalid["rights"], problem)
	}
	life, ok := lifeOf(asked.LifeSeconds, maxTokenLife)
	if !ok {
		invalid["lifeSeconds"] = append(invalid["lifeSeconds"], "must be a minute to ten years, or absent")
	}
	if len(invalid) > 0 {
		return operatorapi.TokenAdded{}, &service.FieldsError{Errors: invalid}
	}
	text, hash := newSecret(tokenPrefix)
	row, err := a.Service.Store.AddGrant(ctx, store.NewGrant{
		Kind: kindToken, Name: asked.Name, Customer: asked.CustomerID, Rights: names(rights), SecretHash: hash, Life: life,
	})
	if errors.Is(err, store.ErrNotFound) {
		return operatorapi.TokenAdded{}, a.notAdded(ctx, asked)
	}
	if err != nil {
		return operatorapi.TokenAdded{}, err
	}
	return operatorapi.TokenAdded{
		APIToken: operatorapi.APIToken{
			ID: row.ID, Name: asked.Name, CustomerID: optional(asked.CustomerID), Rights: names(rights), State: operatorapi.GrantValid,
			CreatedAt: row.CreatedAt, ExpiresAt: row.ExpiresAt,
		},
		Secret: text,
	}, nil
}

// notAdded says why the statement added no token: there is no such customer, or the name is taken.
func (a *API) notAdded(ctx context.Context, asked operatorapi.TokenAddition) error {
	if asked.CustomerID != "" {
		config, err := a.Service.Store.Customer(ctx, asked.CustomerID)
		if err != nil {
			return err
		}
		if config.OffboardedAt != nil {
			return store.ErrNotFound
		}
	}
	return &service.ConflictError{Text: fmt.Sprintf("there is a token %q already: revoke it, or choose another name", asked.Name)}
}

// tokenRights returns the rights of a token, or what is wrong with them.
func tokenRights(asked operatorapi.TokenAddition) (rights []Right, problem string) {
	switch {
	case asked.Role != "" && len(asked.Rights) > 0:
		return nil, "a role has its rights: give one of the two"
	case asked.Role != "":
		if rights = Role(asked.Role).Rights(); rights == nil {
			return nil, "the roles are viewer, operator and admin"
		}
	default:
		known := append(Administrator.Rights(), Read)
		if rights, problem = withRead(asked.Rights, known); problem != "" {
			return nil, problem
		}
	}
	if asked.CustomerID != "" && slices.Contains(rights, Admin) {
		return nil, "a token of one customer cannot administer"
	}
	return rights, ""
}

// linkRights are the rights that a customer's link may have besides Read.
func linkRights() []Right { return []Right{Token, Letters, Review, Donors, Pause} }

// withRead returns the rights with these names and Read, or which are allowed.
func withRead(asked []string, allowed []Right) (rights []Right, problem string) {
	rights = []Right{Read}
	for _, name := range asked {
		right := Right(name)
		if !slices.Contains(allowed, right) && right != Read {
			return nil, "the rights are " + strings.Join(names(allowed), ", ")
		}
		if !slices.Contains(rights, right) {
			rights = append(rights, right)
		}
	}
	return rights, ""
}

func (a *API) listTokens(ctx context.Context, asked operatorapi.TokensQuestion) (operatorapi.TokensReply, error) {
	rows, next, err := a.page(ctx, kindToken, asked.CustomerID, asked.Before, asked.Limit)
	reply := operatorapi.TokensReply{Tokens: []operatorapi.APIToken{}, Next: next}
	for _, row := range rows {
		token := operatorapi.APIToken{
			ID: row.ID, CustomerID: row.Customer, Rights: row.Rights, State: stateOf(row), CreatedAt: row.CreatedAt, ExpiresAt: row.ExpiresAt,
			RevokedAt: row.RevokedAt, UsedAt: row.UsedAt,
		}
		if row.Name != nil {
			token.Name = *row.Name
		}
		reply.Tokens = append(reply.Tokens, token)
	}
	return reply, err
}

func (a *API) revokeToken(ctx context.Context, asked operatorapi.TokenRevocation) (operatorapi.GrantEnded, error) {
	id, err := a.Service.Store.RevokeToken(ctx, asked.Name)
	return operatorapi.GrantEnded{ID: id}, err
}

func (a *API) addLink(ctx context.Context, asked operatorapi.LinkAddition) (operatorapi.LinkAdded, error) {
	invalid := map[string][]string{}
	rights, problem := withRead(asked.Rights, linkRights())
	if problem != "" {
		invalid["rights"] = append(invalid["rights"], problem)
	}
	life, ok := lifeOf(asked.LifeSeconds, operatorapi.MaxLinkLife)
	if !ok {
		invalid["lifeSeconds"] = append(invalid["lifeSeconds"], "must be a minute to 90 days, or absent")
	}
	if asked.CustomerID == "" {
		invalid["customerId"] = append(invalid["customerId"], "is missing")
	}
	if len(invalid) > 0 {
		return operatorapi.LinkAdded{}, &service.FieldsError{Errors: invalid}
	}
	if life == 0 {
		life = operatorapi.DefaultLinkLife
	}
	address, err := consoleAddress(a.Service.Config)
	if err != nil {
		return operatorapi.LinkAdded{}, err
	}
	text, hash := newSecret(linkPrefix)
	row, err := a.Service.Store.AddGrant(ctx, store.NewGrant{
		Kind: kindLink, Customer: asked.CustomerID, Rights: names(rights), SecretHash: hash, Life: life,
	})
	if err != nil {
		return operatorapi.LinkAdded{}, err
	}
	added := operatorapi.LinkAdded{URL: address + "/l/" + text, Link: operatorapi.Link{
		ID: row.ID, CustomerID: asked.CustomerID, Rights: names(rights), State: operatorapi.GrantValid, CreatedAt: row.CreatedAt,
	}}
	if row.ExpiresAt != nil {
		added.ExpiresAt = *row.ExpiresAt
	}
	return added, nil
}

// consoleAddress returns where browsers reach the console.
func consoleAddress(settings config.Config) (string, error) {
	if settings.ConsolePublicURL != "" {
		return settings.ConsoleURL(), nil
	}
	host, port, err := net.SplitHostPort(settings.HTTPAddr)
	if err != nil || !isLoopback(host) || port == "" || port == "0" {
		return "", &service.ConflictError{Text: "the console does not know its own address: set CONSOLE_PUBLIC_URL for it"}
	}
	return "http://" + settings.HTTPAddr, nil
}

func (a *API) listLinks(ctx context.Context, asked operatorapi.LinksQuestion) (operatorapi.LinksReply, error) {
	rows, next, err := a.page(ctx, kindLink, asked.CustomerID, asked.Before, asked.Limit)
	reply := operatorapi.LinksReply{Links: []operatorapi.Link{}, Next: next}
	for _, row := range rows {
		link := operatorapi.Link{ID: row.ID, Rights: row.Rights, State: stateOf(row), CreatedAt: row.CreatedAt, RevokedAt: row.RevokedAt, UsedAt: row.UsedAt}
		if row.Customer != nil {
			link.CustomerID = *row.Customer
		}
		if row.ExpiresAt != nil {
			link.ExpiresAt = *row.ExpiresAt
		}
		reply.Links = append(reply.Links, link)
	}
	return reply, err
}

func (a *API) revokeLink(ctx context.Context, asked operatorapi.LinkRevocation) (operatorapi.GrantEnded, error) {
	customer, err := a.Service.Store.RevokeLink(ctx, asked.ID)
	return operatorapi.GrantEnded{ID: asked.ID, CustomerID: customer}, err
}

// page returns a page of grants, and where the next one begins.
func (a *API) page(ctx context.Context, kind, customer string, before int64, limit int32) (rows []store.GrantLine, next *int64, err error) {
	if limit < 0 || limit > operatorapi.MaxGrants || before < 0 {
		return nil, nil, &service.BadRequestError{Text: fmt.Sprintf("limit must be 1 to %d, and before the next of a page", operatorapi.MaxGrants)}
	}
	if limit == 0 {
		limit = operatorapi.MaxGrants
	}
	asked := store.GrantsAsked{Kind: kind, Customer: optional(customer), AtMost: int(limit) + 1}
	if before > 0 {
		asked.Before = &before
	}
	rows, err = a.Service.Store.Grants(ctx, asked)
	if err == nil && len(rows) > int(limit) {
		rows = rows[:limit]
		next = &rows[limit-1].ID
	}
	return rows, next, err
}

func stateOf(row store.GrantLine) string {
	switch {
	case row.RevokedAt != nil:
		return operatorapi.GrantRevoked
	case row.Valid:
		return operatorapi.GrantValid
	}
	return operatorapi.GrantExpired
}

// lifeOf returns a life of at most longest; 0 for none.
func lifeOf(seconds int64, longest time.Duration) (life time.Duration, ok bool) {
	if seconds == 0 {
		return 0, true
	}
	if seconds < 60 || seconds > int64(longest/time.Second) {
		return 0, false
	}
	return time.Duration(seconds) * time.Second, true
}

func names(rights []Right) []string {
	texts := make([]string, 0, len(rights))
	for _, right := range rights {
		texts = append(texts, string(right))
	}
	return texts
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
