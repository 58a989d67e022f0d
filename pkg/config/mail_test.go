package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/config"
)

func TestMailServerIsParsedFromURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]config.MailServer{
		"":                                    {},
		"smtp://robot:pass@mail.example:2525": {Host: "mail.example", Port: 2525, User: "robot", Password: "pass", TLS: config.TLSRequired},
		"smtp://robot:p%40ss@mail.example":    {Host: "mail.example", Port: 587, User: "robot", Password: "p@ss", TLS: config.TLSRequired},
		"smtps://robot:pass@mail.example/":    {Host: "mail.example", Port: 465, User: "robot", Password: "pass", TLS: config.TLSAtOnce},
		"smtps://mail.example:4650":           {Host: "mail.example", Port: 4650, TLS: config.TLSAtOnce},
		"smtp://mail.example":                 {Host: "mail.example", Port: 25, TLS: config.TLSWhereOffered},
		"smtp://mail.example:25?tls=none":     {Host: "mail.example", Port: 25, TLS: config.TLSNone},
		"smtp://mail.example?tls=required":    {Host: "mail.example", Port: 25, TLS: config.TLSRequired},
		"smtp://[::1]:25?tls=none":            {Host: "::1", Port: 25, TLS: config.TLSNone},
	} {
		server, err := config.ParseMailServer(text)
		require.NoError(t, err, text)
		require.Equal(t, want, server, text)
	}
}

func TestErrorForWrongMailSettingNamesIt(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-9c1d"
	good := []string{"SMTP_URL=smtp://u:" + secret + "@mail.example:587", "MAIL_FROM=rollcall@partner.example"}
	_, err := config.Load(append(good, "ALERT_MAIL_TO=ops@partner.example, On Call <oncall@partner.example>"))
	require.NoError(t, err)

	for line, name := range map[string]string{
		"SMTP_URL=" + secret:                                       "SMTP_URL",
		"SMTP_URL=http://u:" + secret + "@mail.example":            "SMTP_URL",
		"SMTP_URL=smtp://u:" + secret + "@":                        "SMTP_URL",
		"SMTP_URL=smtp://u:" + secret + "@h:70000":                 "SMTP_URL",
		"SMTP_URL=smtp://u:" + secret + "@h/inbox":                 "SMTP_URL",
		"SMTP_URL=smtp://u:" + secret + "@h?tls=none":              "SMTP_URL",
		"SMTP_URL=smtp://u:" + secret + "@h?tls=sometimes":         "SMTP_URL",
		"SMTP_URL=smtp://u:" + secret + "@h?password=" + secret:    "SMTP_URL",
		"SMTP_URL=smtp://" + secret + "@h":                         "SMTP_URL",
		"SMTP_URL=smtps://h?tls=none":                              "SMTP_URL",
		"SMTP_URL=smtp://u:" + secret + "%zz@h":                    "SMTP_URL",
		"MAIL_FROM=":                                               "MAIL_FROM is missing",
		"MAIL_FROM=ops":                                            "MAIL_FROM",
		"ALERT_MAIL_TO=ops@partner.example;oncall@partner.example": "ALERT_MAIL_TO",
		"ALERT_MAIL_TO=ops@partner.example,":                       "ALERT_MAIL_TO",
		"ALERT_WEBHOOK_URL=hooks.example/" + secret:                "ALERT_WEBHOOK_URL",
		"ALERT_WEBHOOK_URL=ftp://hooks.example/" + secret:          "ALERT_WEBHOOK_URL",
		"ALERT_WEBHOOK_SECRET=" + secret:                           "ALERT_WEBHOOK_SECRET",
		"ALERT_WEBHOOK_SECRET=whsec_c2hvcnQ=":                      "ALERT_WEBHOOK_SECRET",
	} {
		text := loadError(t, append(good, line)...)
		require.True(t, strings.HasPrefix(text, name), "%s: %s", line, text)
		require.NotContains(t, text, secret, line)
		require.NotContains(t, text, "\n", "one clear line")
	}
	require.Contains(t, loadError(t, "ALERT_MAIL_TO=ops@partner.example"), "ALERT_MAIL_TO needs SMTP_URL")
}
