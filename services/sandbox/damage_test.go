package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDamagedStateFileStopsTheStartIsNamedAndLeftAsItIs(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	whole := filepath.Join(folder, "whole.gz")
	s := newKept(t, whole, "--org", "acme:20")
	s.live()
	require.NoError(t, s.stop())
	content, err := os.ReadFile(whole)
	require.NoError(t, err)
	flipped := bytes.Clone(content)
	flipped[len(flipped)/2] ^= 0x10

	const head = `{"sandboxState":2}`
	for name, damaged := range map[string][]byte{
		"empty":                {},
		"no gzip":              []byte(head),
		"cut short":            content[:len(content)/2],
		"without its checksum": content[:len(content)-8],
		"a bit flipped":        flipped,
		"something behind":     append(bytes.Clone(content), "more"...),
		"no JSON":              packed(t, head+"\nusers"),
		"no version":           packed(t, `{"tenant":{"name":"acme"}}`),
		"a later version":      packed(t, `{"sandboxState":3}`),
		"unknown kinds":        packed(t, head+`{"cat":{}}`),
		"record of nobody":     packed(t, head+`{"record":{"id":"a","external_id":"b"}}`),
		"no external id":       packed(t, head+`{"tenant":{"name":"acme"}}{"record":{"id":"a"}}`),
		"half an organisation": packed(t, head+`{"organisation":{"Name":"acme","Users":3,"IDs":"int","Order":"id"}}`),
		"a bad name":           packed(t, head+`{"organisation":{"Name":"No Name"}}{"standing":{"NextID":1001}}`),
		"ids that go back":     packed(t, head+`{"organisation":{"Name":"acme","Users":3}}{"standing":{"NextID":1001}}`),
		"a user from nowhere":  packed(t, head+`{"organisation":{"Name":"acme"}}{"user":{"ID":5}}{"standing":{"NextID":1001}}`),
	} {
		file := filepath.Join(folder, strings.ReplaceAll(name, " ", "-"))
		require.NoError(t, os.WriteFile(file, damaged, 0o600))
		var stderr syncedText
		require.Equal(t, 1, start(t.Context(), []string{"--state-file", file}, env(nil), &stderr), name)
		require.Contains(t, stderr.String(), file+" is damaged", name)
		left, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, damaged, left, name)
	}
}

func TestStateFileThatCannotBeWrittenStopsTheStart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "missing", "state.gz")
	var stderr syncedText
	require.Equal(t, 1, start(t.Context(), []string{"--state-file", file}, env(map[string]string{"HTTP_ADDR": "127.0.0.1:0"}), &stderr))
	require.Contains(t, stderr.String(), file)
}

func packed(t *testing.T, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	writer := gzip.NewWriter(&out)
	_, err := writer.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	return out.Bytes()
}

func TestStateFileOfTheVersionBeforeIsRead(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.gz")
	require.NoError(t, os.WriteFile(file, packed(t, `{"sandboxState":1}{"tenant":{"name":"acme"}}`+
		`{"record":{"id":"crm-1","external_id":"vomo-1","source_updated_at":"2026-02-01T00:00:00Z","writes":3,"deleted":false}}`), 0o600))
	seen := newKept(t, file).report().CRM["acme"]
	require.Equal(t, []int{1, 3, 0, 0}, []int{seen.Records, seen.Writes, seen.UnchangedWrites, seen.StaleWrites})
}
