package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
)

// contexts makes files of the nats command, and returns the environment in which they are found.
func contexts(t *testing.T, files map[string]any) []string {
	t.Helper()
	home := t.TempDir()
	folder := filepath.Join(home, ".config", "nats", "context")
	require.NoError(t, os.MkdirAll(folder, 0o700))
	for name, content := range files {
		encoded, err := json.Marshal(content)
		require.NoError(t, err)
		if text, isText := content.(string); isText {
			encoded = []byte(text)
		}
		require.NoError(t, os.WriteFile(filepath.Join(folder, name+".json"), encoded, 0o600))
	}
	return []string{"HOME=" + home}
}

func TestContextOfTheNATSCommandLeadsToItsServer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("key", "get", always(operatorapi.KeyReply{PublicKey: "XA"}))
	f.process.Environ = append(contexts(t, map[string]any{"prod": map[string]any{"url": f.nats.URL, "inbox_prefix": "_INBOX_ana", "color_scheme": "yellow"}}),
		"NATS_URL=nats://127.0.0.1:1", "NATS_USER=of-another-server")
	conn := f.nats.Conn(t)
	inboxes, err := conn.SubscribeSync("_INBOX_ana.>")
	require.NoError(t, err)
	require.NoError(t, conn.Flush())
	got := f.run("key", "--context", "prod")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, "XA\n", got.stdout)
	_, err = inboxes.NextMsgWithContext(t.Context())
	require.NoError(t, err, "the answer comes to an inbox of the context's")

	f.process.Environ = append(f.process.Environ, "NATS_CONTEXT=prod")
	require.Zero(t, f.run("key").code)
	require.Equal(t, exitFailed, f.run("key", "--server", "nats://127.0.0.1:1").code, "an option replaces what the context has")
	require.Equal(t, result{
		code: exitFailed, stderr: "rollcall: there is no context \"none\": `nats context ls` lists those that there are\n",
	}, f.run("key", "--context", "none"))
	require.Equal(t, exitUsage, f.run("key", "--context", "../prod").code)
}

func TestContextHasTheCredentialsOfTheNATSCommand(t *testing.T) {
	t.Parallel()
	pair, err := nkeys.CreateUser()
	require.NoError(t, err)
	seed, err := pair.Seed()
	require.NoError(t, err)
	nkey := filepath.Join(t.TempDir(), "ana.nk")
	require.NoError(t, os.WriteFile(nkey, seed, 0o600))
	a := &app{Process: Process{Environ: append(contexts(t, map[string]any{
		"user":      map[string]any{"user": "ana", "password": "secret"},
		"no-secret": map[string]any{"user": "ana"},
		"token":     map[string]any{"token": "secret"},
		"creds":     map[string]any{"creds": "~/ana.creds"},
		"nkey":      map[string]any{"nkey": nkey},
		"jwt":       map[string]any{"user_jwt": "a.b.c", "user_seed": string(seed)},
		"tls":       map[string]any{"ca": "$PKI/ca.pem", "cert": "file://$PKI/me.pem", "key": "$PKI/me.key", "tls_first": true},
	}), "PKI=/etc/pki")}}
	read := func(name string, flags natsFlags) (natsFlags, nats.Options) {
		t.Helper()
		context, err := a.contextSettings(name)
		require.NoError(t, err)
		context = flags.under(context)
		var options nats.Options
		if context.ca == "" { // its files are read at once
			made, err := context.options()
			require.NoError(t, err)
			for _, option := range made {
				require.NoError(t, option(&options))
			}
		}
		return context, options
	}
	_, options := read("user", natsFlags{})
	require.Equal(t, []string{"ana", "secret"}, []string{options.User, options.Password})
	_, options = read("no-secret", natsFlags{})
	require.Equal(t, "ana", options.User, "it is no token")
	_, options = read("token", natsFlags{})
	require.Equal(t, "secret", options.Token)
	require.NoError(t, os.WriteFile(a.env("HOME")+"/ana.creds", nil, 0o600))
	settings, options := read("creds", natsFlags{})
	require.Equal(t, a.env("HOME")+"/ana.creds", settings.creds)
	require.NotNil(t, options.UserJWT)
	_, options = read("nkey", natsFlags{})
	require.NotEmpty(t, options.Nkey)
	_, options = read("jwt", natsFlags{})
	require.NotNil(t, options.SignatureCB)
	settings, _ = read("tls", natsFlags{ca: "/mine.pem"})
	require.Equal(t, []string{"/mine.pem", "/etc/pki/me.pem", "/etc/pki/me.key"}, []string{settings.ca, settings.cert, settings.key})
	require.True(t, settings.tlsFirst)

	settings, _ = read("user", natsFlags{token: "mine"})
	require.Equal(t, []string{"", "", "mine"}, []string{settings.user, settings.password, settings.token}, "one of the two logs in")
}

func TestContextThatCannotBeUsedIsNamedWithoutItsSecrets(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.process.Environ = contexts(t, map[string]any{
		"broken": `{"password":"hunter2",`, "proxy": map[string]any{"socks_proxy": "socks5://hunter2"}, "vault": map[string]any{"creds": "op://hunter2/creds"},
	})
	for name, want := range map[string]string{
		"broken": "the file is no context of the nats command", "proxy": "has socks_proxy, which rollcall does not support",
		"vault": "creds names no file, and rollcall reads files only",
	} {
		got := f.run("key", "--context", name)
		require.Equal(t, exitFailed, got.code)
		require.Contains(t, got.stderr, want)
		require.NotContains(t, got.stderr, "hunter2")
	}
}
