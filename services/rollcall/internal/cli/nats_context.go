package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// storedContext is the file of a context of the nats command, as far as it is about the connection.
type storedContext struct {
	URL         string `json:"url"`
	User        string `json:"user"`
	Password    string `json:"password"`
	Token       string `json:"token"`
	Creds       string `json:"creds"`
	NKey        string `json:"nkey"`
	UserJWT     string `json:"user_jwt"`
	UserSeed    string `json:"user_seed"`
	CA          string `json:"ca"`
	Cert        string `json:"cert"`
	Key         string `json:"key"`
	TLSFirst    bool   `json:"tls_first"`
	InboxPrefix string `json:"inbox_prefix"`

	// What rollcall does not support. To ignore one of these would lead to another server than the nats command's.
	SocksProxy       string `json:"socks_proxy"`
	NSC              string `json:"nsc"`
	JetStreamDomain  string `json:"jetstream_domain"`
	JetStreamPrefix  string `json:"jetstream_api_prefix"`
	WindowsCertStore string `json:"windows_cert_store"`
}

// contextSettings returns the connection that a context of the nats command has.
func (a *app) contextSettings(name string) (natsFlags, error) {
	if strings.ContainsAny(name, `/\`) || strings.Contains(name, "..") {
		return natsFlags{}, usage("the name of a context has no slash and no two dots")
	}
	folder := a.env("XDG_CONFIG_HOME")
	if folder == "" {
		folder = filepath.Join(a.env("HOME"), ".config")
	}
	content, err := os.ReadFile(filepath.Join(folder, "nats", "context", name+".json")) //nolint:gosec // G304: the operator names it
	if errors.Is(err, fs.ErrNotExist) {
		return natsFlags{}, fmt.Errorf("there is no context %q: `nats context ls` lists those that there are", name)
	}
	if err != nil {
		return natsFlags{}, fmt.Errorf("read context %q: %w", name, err)
	}
	var stored storedContext
	if json.Unmarshal(content, &stored) != nil { // its error may quote a password
		return natsFlags{}, fmt.Errorf("read context %q: the file is no context of the nats command", name)
	}
	for field, value := range map[string]string{
		"socks_proxy": stored.SocksProxy, "nsc": stored.NSC, "jetstream_domain": stored.JetStreamDomain,
		"jetstream_api_prefix": stored.JetStreamPrefix, "windows_cert_store": stored.WindowsCertStore,
	} {
		if value != "" {
			return natsFlags{}, fmt.Errorf("context %q has %s, which rollcall does not support", name, field)
		}
	}
	read := natsFlags{
		server: stored.URL, user: stored.User, password: stored.Password, token: stored.Token, jwt: stored.UserJWT, seed: stored.UserSeed,
		tlsFirst: stored.TLSFirst, inboxPrefix: stored.InboxPrefix, userIsNoToken: true,
	}
	for _, file := range []struct {
		to          *string
		field, path string
	}{
		{&read.creds, "creds", stored.Creds}, {&read.nkey, "nkey", stored.NKey}, {&read.ca, "ca", stored.CA}, {&read.cert, "cert", stored.Cert},
		{&read.key, "key", stored.Key},
	} {
		path, isFile := a.contextPath(file.path)
		if !isFile {
			return natsFlags{}, fmt.Errorf("context %q: %s names no file, and rollcall reads files only", name, file.field)
		}
		*file.to = path
	}
	return read, nil
}

// contextPath expands a path as the nats command does: variables, and ~ for the home folder.
func (a *app) contextPath(path string) (expanded string, isFile bool) {
	path = strings.TrimPrefix(path, "file://")
	if strings.Contains(path, "://") {
		return "", false // such as op://, of a store of secrets
	}
	path = os.Expand(path, a.env)
	if strings.HasPrefix(path, "~") {
		path = a.env("HOME") + path[1:]
	}
	return path, true
}

// under returns the settings with those of a context where a flag says nothing. Of the two ways to name a user, the flags' excludes the
// context's: a password never goes with another user.
func (n *natsFlags) under(context natsFlags) natsFlags {
	context.timeout, context.context = n.timeout, n.context
	if n.server != "" {
		context.server = n.server
	}
	if n.user+n.password+n.token+n.creds+n.nkey != "" {
		context.user, context.password, context.token, context.creds, context.nkey = n.user, n.password, n.token, n.creds, n.nkey
		context.jwt, context.seed, context.userIsNoToken = "", "", false
	}
	if n.ca != "" {
		context.ca = n.ca
	}
	if n.cert+n.key != "" {
		context.cert, context.key = n.cert, n.key
	}
	return context
}
