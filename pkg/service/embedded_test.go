package service

import (
	"crypto/x509"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// asRootlessVariable makes this test binary report by its exit status whether it has any certificate authority.
const asRootlessVariable = "SERVICE_TEST_ROOTS"

func knowsNoAuthority() bool {
	pool, err := x509.SystemCertPool()
	return err != nil || pool.Equal(x509.NewCertPool())
}

func TestCertificatesAreCheckedOnMachineWithoutCACertificates(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	nowhere := t.TempDir() + "/none"
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = []string{asRootlessVariable + "=1", "SSL_CERT_FILE=" + nowhere, "SSL_CERT_DIR=" + nowhere}
	require.NoError(t, cmd.Run())
}
