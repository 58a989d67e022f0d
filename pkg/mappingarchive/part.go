package mappingarchive

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"

	"rollcall.dev/pkg/store"
)

// purpose is the purpose for which a part is sealed.
const purpose = "mapping_archive"

// partSize is how many mappings a part has at most.
const partSize = 1000

// pack returns the bytes of a part before they are sealed.
func pack(mappings []store.ArchivedMapping) ([]byte, error) {
	encoded, err := json.Marshal(mappings)
	if err != nil {
		return nil, fmt.Errorf("encode mappings: %w", err)
	}
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	if _, err := writer.Write(encoded); err != nil {
		return nil, fmt.Errorf("compress mappings: %w", err)
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("compress mappings: %w", err)
	}
	return packed.Bytes(), nil
}

// unpack returns the mappings of a part.
func unpack(packed []byte) ([]store.ArchivedMapping, error) {
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("expand mappings: %w", err)
	}
	encoded, err := io.ReadAll(reader)
	if err != nil {
		return nil, fmt.Errorf("expand mappings: %w", err)
	}
	var mappings []store.ArchivedMapping
	if err := json.Unmarshal(encoded, &mappings); err != nil {
		return nil, fmt.Errorf("decode mappings: %w", err)
	}
	return mappings, nil
}
