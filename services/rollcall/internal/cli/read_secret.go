package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// maxSecretBytes is above what a request takes; a wrong file is refused before it is read whole.
const maxSecretBytes = 64 << 10

// vomoToken finds the token where it was put: a file or standard input first, since neither stays in a shell's
// history, and a prompt where a person can be asked.
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

// secretFrom reads a file with a secret and nothing else; "-" is standard input. Its errors have the file's name
// and nothing that it holds.
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
