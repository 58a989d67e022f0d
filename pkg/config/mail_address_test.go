package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/config"
)

func TestDomainsOutsideASCIIAreConvertedToPunycode(t *testing.T) {
	t.Parallel()
	mail := []string{"SMTP_URL=smtp://mail.example", "MAIL_FROM=Büro <büro@bücher.example>"}
	loaded, err := config.Load(append(mail, "ALERT_MAIL_TO=nóc@BÜCHER.example, ops@acme.example,NOC <nóc@bücher.example>"))
	require.NoError(t, err)
	recipients, err := loaded.AlertRecipients()
	require.NoError(t, err)
	require.Equal(t, []string{"nóc@xn--bcher-kva.example", "ops@acme.example"}, recipients)

	for value, want := range map[string]string{
		"ops@acme.example,ops":               "number 2 is not a mail address",
		"ops@acme.example,ops@\u2488a.例え":    "number 2 has a domain that is no name in DNS",
		"ops@bü..cher.example":               "number 1 ",
		"ops@acme.example,,ops@acme.example": "number 2 is not a mail address",
	} {
		text := loadError(t, append(mail, "ALERT_MAIL_TO="+value)...)
		require.Contains(t, text, "ALERT_MAIL_TO must be mail addresses", value)
		require.Contains(t, text, want, value)
	}
}
