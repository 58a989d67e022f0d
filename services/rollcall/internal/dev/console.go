package dev

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/service"
)

const (
	consoleName = "console"
	// adminToken is the name of the API token of the first start.
	adminToken   = "dev-admin"
	tokenTimeout = 10 * time.Second
)

// makeAdminToken adds the administrator's API token at the first start, and returns it: it is stored as a hash, so it can be shown only now.
// Later it returns "".
func (s *stack) makeAdminToken(ctx context.Context) (string, error) {
	if s.folder.memory.HasAdminToken {
		return "", nil
	}
	client := &operatorclient.Client{Conn: s.conn, Timeout: tokenTimeout, Operator: "rollcall dev"}
	added, err := operatorclient.Ask[operatorapi.TokenAddition, operatorapi.TokenAdded](ctx, client, "tokens", "add",
		operatorapi.TokenAddition{Name: adminToken, Role: "admin"})
	var rejected *operatorclient.RejectedError
	if errors.As(err, &rejected) && rejected.Code == service.CodeConflict {
		err = nil // an earlier start added it, and ended before it noted that
	}
	if err != nil {
		return "", fmt.Errorf("add the administrator's token: %w", err)
	}
	s.folder.memory.HasAdminToken = true
	return added.Secret, s.folder.remember()
}
