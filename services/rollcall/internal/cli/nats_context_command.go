package cli

import (
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/spf13/cobra"
)

// natsContext is a context of the nats command, in the form of its file.
type natsContext struct {
	Description string `json:"description"`
	URL         string `json:"url"`
	User        string `json:"user,omitempty"`
	Password    string `json:"password,omitempty"`
}

const defaultNATSPort = "4222"

func (a *app) natsContext() *cobra.Command {
	var url, name string
	command := &cobra.Command{
		Use:   "nats-context",
		Short: "Print a shell script that gives the nats command on this host its access",
		Long: `Prints a shell script that writes a context for the nats command, with the user and the password of this
installation, and selects it:

  docker-compose run --rm -T rollcall nats-context | sh

The password is in the output and in the file, and in no process list. With --json it prints the context itself.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			settings, err := a.natsSettings()
			if err != nil {
				return err
			}
			if url == "" {
				port := a.env("NATS_PORT")
				if port == "" {
					port = defaultNATSPort
				}
				url = "nats://127.0.0.1:" + port
			}
			context := natsContext{Description: "rollcall", URL: url, User: settings.user, Password: settings.password}
			if a.json {
				return a.document(context)
			}
			return a.sayContext(name, context)
		},
	}
	command.Flags().StringVar(&url, "url", "", "`URL` of NATS as the host reaches it (default 127.0.0.1 with the port of NATS_PORT, or "+defaultNATSPort+")")
	command.Flags().StringVar(&name, "name", "rollcall", "`name` of the context")
	return command
}

func (a *app) sayContext(name string, context natsContext) error {
	if !regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]*$`).MatchString(name) {
		return usage("the name of a context is letters, digits, - and _")
	}
	content, err := json.MarshalIndent(context, "", "  ") //nolint:gosec // G117: to print the password is what it is for
	if err != nil {
		return fmt.Errorf("print context: %w", err)
	}
	// Because the end mark is quoted, the shell expands nothing in these lines.
	sayf(a.out, `set -eu
folder=${XDG_CONFIG_HOME:-$HOME/.config}/nats/context
mkdir -p "$folder"
(umask 077 && cat >"$folder/%[1]s.json") <<'END_OF_CONTEXT'
%[2]s
END_OF_CONTEXT
nats context select %[1]s`, name, content)
	return nil
}
