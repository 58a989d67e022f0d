package state

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"rollcall.dev/services/sandbox/internal/crm"
	"rollcall.dev/services/sandbox/internal/organisation"
	"rollcall.dev/services/sandbox/internal/person"
)

// reading is a file that is being read: whose lines come next.
type reading struct {
	organisations *organisation.Directory
	records       *crm.Store

	current *savedOrganisation // until its standing was read
	edited  []person.Person    // of the current organisation
	tenant  *crm.Tenant
}

var errOrder = errors.New("lines are out of order")

// all reads a file to its end, where its checksum is.
func (r *reading) all(file io.Reader) error {
	packed, err := gzip.NewReader(bufio.NewReader(file))
	if err != nil {
		return fmt.Errorf("uncompress: %w", err)
	}
	decoder := json.NewDecoder(packed)
	decoder.DisallowUnknownFields()
	var first line
	if err := decoder.Decode(&first); err != nil {
		return fmt.Errorf("read first line: %w", err)
	}
	if first.Version < oldest || first.Version > version {
		return fmt.Errorf("it is of version %d, and this sandbox reads versions %d to %d", first.Version, oldest, version)
	}
	for number := 2; ; number++ {
		var next line
		err := decoder.Decode(&next)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = r.take(next)
		}
		if err != nil {
			return fmt.Errorf("read line %d: %w", number, err)
		}
	}
	if r.current != nil {
		return errOrder
	}
	return nil
}

func (r *reading) take(next line) error {
	switch {
	case r.current != nil && next.User != nil:
		r.edited = append(r.edited, *next.User)
		return nil
	case r.current != nil && next.Standing != nil:
		err := r.organisations.AddSaved(r.current.Config, r.current.Revoked, *next.Standing, r.edited)
		r.current, r.edited = nil, nil
		return err
	case r.current == nil && next.Organisation != nil:
		r.current = next.Organisation
		return nil
	case r.current == nil && next.Tenant != nil:
		r.tenant = r.records.Tenant(next.Tenant.Name)
		if r.tenant == nil {
			return errors.New("there are too many tenants")
		}
		r.tenant.SetToken(next.Tenant.Token)
		return nil
	case r.current == nil && r.tenant != nil && next.Record != nil:
		return r.tenant.Restore(*next.Record)
	}
	return errOrder
}
