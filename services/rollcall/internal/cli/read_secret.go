package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// maxSecretBytes is more than a request may hold; a wrong file is rejected before all of it is read.
const maxSecretBytes = 64 << 10

// vomoToken reads the token from a file, standard input, the flag or the environment, and otherwise asks on a terminal.
func (a *app) vomoToken(ctx context.Context, flag, file string) (string, error) {
	switch {
	case flag != "" && file != "":
		return "", usage("give --vomo-token-file or --vomo-token, not both")
	case file != "":
		return a.secretFrom(ctx, file)
	case flag != "":
		return flag, nil
	}
	if token := a.env("VOMO_TOKEN"); token != "" {
		return token, nil
	}
	if !a.StdinTerminal {
		return "", usage("the VOMO token is missing: give --vomo-token-file <file>, or - for standard input, or set VOMO_TOKEN")
	}
	_, _ = fmt.Fprint(a.log, "VOMO token (not shown): ")
	token, err := a.ReadSecretFunc(ctx)
	sayf(a.log, "")
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	token = strings.TrimSpace(token)
	if token == "" {
		return "", usage("no token was given")
	}
	return token, nil
}

// secretFrom reads a file that holds only a secret; "-" is standard input. Its errors contain the file's name and nothing of
// its content.
func (a *app) secretFrom(ctx context.Context, file string) (string, error) {
	from := a.Stdin
	if file != "-" {
		opened, err := os.Open(file) //nolint:gosec // the operator says which
		if err != nil {
			return "", fmt.Errorf("read secret: %w", err)
		}
		defer func() { _ = opened.Close() }() // it was only read
		from = opened
	}
	data, err := await(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(from, maxSecretBytes+1)) })
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	secret := strings.TrimSpace(string(rollcallv1.TrimByteOrderMark(data)))
	switch {
	case len(data) > maxSecretBytes:
		return "", fmt.Errorf("%s is longer than any token", inputName(file))
	case secret == "":
		return "", fmt.Errorf("%s is empty", inputName(file))
	}
	return secret, nil
}

func inputName(file string) string {
	if file == "-" {
		return "standard input"
	}
	return file
}
