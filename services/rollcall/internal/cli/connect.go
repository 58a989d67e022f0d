package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/pflag"

	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

const (
	defaultTimeout = 5 * time.Second
	reconnectWait  = 500 * time.Millisecond
)

// natsFlags are the options of the nats command, with the same names. The environment is read when they are used and is not
// their default, because help would print a password.
type natsFlags struct {
	context, server, creds, nkey, user, password, token, ca, cert, key string
	timeout                                                            time.Duration

	// What only a context has.
	jwt, seed, inboxPrefix  string
	tlsFirst, userIsNoToken bool // a user without a password is a user
}

func (n *natsFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&n.context, "context", "", "`name` of a context of the nats command; it replaces the variables NATS_…, but for NATS_TIMEOUT (NATS_CONTEXT)")
	flags.StringVarP(&n.server, "server", "s", "", "NATS `URLs`, comma-separated (NATS_URL; default "+nats.DefaultURL+")")
	flags.StringVar(&n.creds, "creds", "", "`file` with a user's JWT and seed (NATS_CREDS)")
	flags.StringVar(&n.nkey, "nkey", "", "`file` with an nkey seed (NATS_NKEY)")
	flags.StringVar(&n.user, "user", "", "`name` of a user, or a token where no password is given (NATS_USER)")
	flags.StringVar(&n.password, "password", "", "the user's `password`; rather set NATS_PASSWORD or NATS_PASSWORD_FILE, which no process list shows")
	flags.StringVar(&n.token, "token", "", "`token` for NATS; rather set NATS_TOKEN, which no process list shows")
	flags.StringVar(&n.ca, "tlsca", "", "`file` with the CA of the server's certificate (NATS_CA)")
	flags.StringVar(&n.cert, "tlscert", "", "`file` with our client certificate (NATS_CERT)")
	flags.StringVar(&n.key, "tlskey", "", "`file` with our client certificate's key (NATS_KEY)")
	flags.DurationVar(&n.timeout, "timeout", defaultTimeout, "how long an answer is waited for (NATS_TIMEOUT)")
}

// natsSettings reads flags first, then the context if one is named, and the environment otherwise: a password of the environment never goes
// to a context's server.
func (a *app) natsSettings() (natsFlags, error) {
	var err error
	read := a.nats
	if name := cmp.Or(read.context, a.env("NATS_CONTEXT")); name != "" {
		var context natsFlags
		if context, err = a.contextSettings(name); err == nil {
			read = read.under(context)
		}
	} else {
		err = a.addEnvironment(&read)
	}
	if err != nil {
		return read, err
	}
	if read.server == "" {
		read.server = nats.DefaultURL
	}
	if text := a.env("NATS_TIMEOUT"); text != "" && !a.flags.Changed("timeout") {
		timeout, err := time.ParseDuration(text)
		if err != nil {
			return read, usage("NATS_TIMEOUT is no duration such as 5s")
		}
		read.timeout = timeout
	}
	switch {
	case read.timeout <= 0:
		return read, usage("the timeout must be above 0")
	case (read.cert == "") != (read.key == ""):
		return read, usage("--tlscert and --tlskey (NATS_CERT and NATS_KEY) must be given together")
	}
	return read, nil
}

// addEnvironment adds the settings of the environment that no flag has.
func (a *app) addEnvironment(read *natsFlags) error {
	for _, setting := range []struct {
		value *string
		name  string
	}{
		{&read.server, "NATS_URL"}, {&read.creds, "NATS_CREDS"}, {&read.nkey, "NATS_NKEY"}, {&read.user, "NATS_USER"},
		{&read.password, "NATS_PASSWORD"}, {&read.token, "NATS_TOKEN"}, {&read.ca, "NATS_CA"}, {&read.cert, "NATS_CERT"},
		{&read.key, "NATS_KEY"},
	} {
		if *setting.value == "" {
			*setting.value = a.env(setting.name)
		}
	}
	if path := a.env("NATS_PASSWORD_FILE"); path != "" && read.user != "" && read.password == "" {
		password, err := config.ReadPasswordFile("NATS_PASSWORD_FILE", path)
		if err != nil {
			return err
		}
		read.password = password
	}
	return nil
}

// link is a connection on which the services are asked.
type link struct {
	operatorclient.Client

	closed chan struct{}
}

// connect connects to NATS. The link must be closed.
func (a *app) connect() (*link, error) {
	settings, err := a.natsSettings()
	if err != nil {
		return nil, err
	}
	options, err := settings.options()
	if err != nil {
		return nil, err
	}
	closed := make(chan struct{})
	options = append(options,
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }),
		// Only this handler sees what the server refuses; the question itself gets no answer.
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { sayf(a.log, "NATS: %v", err) }))
	conn, err := nats.Connect(settings.server, options...)
	if err != nil {
		if unreadable, ok := errors.AsType[*url.Error](err); ok { // its text repeats the URL, password and all
			err = unreadable.Err
		}
		return nil, fmt.Errorf("connect to NATS at %s: %w", withoutSecrets(settings.server), err)
	}
	return &link{Client: operatorclient.Client{Conn: conn, Timeout: settings.timeout, Operator: a.operator()}, closed: closed}, nil
}

func (n *natsFlags) options() ([]nats.Option, error) {
	options := []nats.Option{nats.Name("rollcall"), nats.Timeout(n.timeout), nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait)}
	switch {
	case n.user != "" && n.password == "" && !n.userIsNoToken:
		options = append(options, nats.Token(n.user))
	case n.user != "":
		options = append(options, nats.UserInfo(n.user, n.password))
	}
	if n.token != "" {
		options = append(options, nats.Token(n.token))
	}
	switch {
	case n.jwt != "" && n.seed != "":
		options = append(options, nats.UserJWTAndSeed(n.jwt, n.seed))
	case n.jwt != "":
		bearer := func() (string, error) { return n.jwt, nil }
		options = append(options, nats.UserJWT(bearer, func([]byte) ([]byte, error) { return nil, nil }))
	}
	if n.inboxPrefix != "" {
		options = append(options, nats.CustomInboxPrefix(n.inboxPrefix))
	}
	if n.tlsFirst {
		options = append(options, nats.TLSHandshakeFirst())
	}
	if n.creds != "" {
		options = append(options, nats.UserCredentials(n.creds))
	}
	if n.nkey != "" {
		option, err := nats.NkeyOptionFromSeed(n.nkey)
		if err != nil {
			return nil, fmt.Errorf("read nkey: %w", err)
		}
		options = append(options, option)
	}
	if n.ca != "" {
		options = append(options, nats.RootCAs(n.ca))
	}
	if n.cert != "" {
		options = append(options, nats.ClientCert(n.cert, n.key))
	}
	return options, nil
}

// close returns when all goroutines of the connection have ended.
func (l *link) close() {
	l.Conn.Close()
	<-l.closed
}

// withoutSecrets returns the list of servers without users, passwords and tokens.
func withoutSecrets(servers string) string {
	var shown []string
	for server := range strings.SplitSeq(servers, ",") {
		server = strings.TrimSpace(server)
		if !strings.Contains(server, "://") {
			server = "nats://" + server
		}
		address, err := url.Parse(server)
		if err != nil {
			shown = append(shown, "an address that cannot be read")
			continue
		}
		shown = append(shown, address.Scheme+"://"+address.Host)
	}
	return strings.Join(shown, ", ")
}

var errNoDatabase = errors.New("DATABASE_URL is missing: postgres://user:password@host:port/database")

// openStore is for commands that connect to Postgres themselves. The caller closes the store.
func openStore(ctx context.Context, settings config.Config) (*store.Store, error) {
	if settings.DatabaseURL == "" {
		return nil, errNoDatabase
	}
	return store.Open(ctx, settings.DatabaseURL, store.Options{MaxConns: 2})
}

// openKeeper opens the services' keeper. It never creates a key file: if the file is missing, this command runs on another
// machine, in another folder or with other settings than the services.
func openKeeper(ctx context.Context, settings config.Config) (*vault.Keeper, error) {
	for _, address := range []string{settings.SecretsURL, settings.SecretsURLNext} {
		if path := vault.MissingKeyFile(address); path != "" {
			return nil, fmt.Errorf("key file %s does not exist: set SECRETS_URL as the services have it, and run this where they run", path)
		}
	}
	return vault.OpenKeeper(ctx, settings.SecretsURL, settings.SecretsURLNext)
}
