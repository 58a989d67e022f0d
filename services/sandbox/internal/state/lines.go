package state

import (
	"encoding/json"
	"fmt"
	"io"

	"rollcall.dev/services/sandbox/internal/crm"
	"rollcall.dev/services/sandbox/internal/organisation"
	"rollcall.dev/services/sandbox/internal/person"
)

// version is that of the file's form. It rises when a sandbox of before could not read a file of now. Those of
// before are read from oldest on: what they do not say is zero.
const (
	oldest  = 1
	version = 2
)

// line is a line of the file: one of its fields. The version comes first; an organisation is followed by its
// edited users and its standing, a tenant by its records.
type line struct {
	Version      int                    `json:"sandboxState,omitempty"`
	Organisation *savedOrganisation     `json:"organisation,omitempty"`
	User         *person.Person         `json:"user,omitempty"`
	Standing     *organisation.Standing `json:"standing,omitempty"`
	Tenant       *savedTenant           `json:"tenant,omitempty"`
	Record       *crm.Stored            `json:"record,omitempty"`
}

type savedOrganisation struct {
	organisation.Config
	Revoked bool `json:"revoked"`
}

type savedTenant struct {
	Name  string `json:"name"`
	Token string `json:"token"`
}

// write streams the state. No lock is held for longer than it takes to list the ids of one organisation or
// tenant: requests go on meanwhile, and what they change may or may not be in the file.
func (k *Keeper) write(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	put := func(l line) error {
		if err := encoder.Encode(l); err != nil {
			return fmt.Errorf("write line: %w", err)
		}
		return nil
	}
	if err := put(line{Version: version}); err != nil {
		return err
	}
	for _, o := range k.Organisations.All() {
		if err := k.writeOrganisation(o, put); err != nil {
			return err
		}
	}
	for _, tenant := range k.Records.All() {
		if err := writeTenant(tenant, put); err != nil {
			return err
		}
	}
	return nil
}

func (k *Keeper) writeOrganisation(o *organisation.Organisation, put func(line) error) error {
	config := o.Config()
	if err := put(line{Organisation: &savedOrganisation{Config: config, Revoked: k.Organisations.Revoked(config.Name)}}); err != nil {
		return err
	}
	for user := range o.Edited() {
		if err := put(line{User: &user}); err != nil {
			return err
		}
	}
	standing := o.Standing() // after the edited: it goes with them
	return put(line{Standing: &standing})
}

func writeTenant(tenant *crm.Tenant, put func(line) error) error {
	if err := put(line{Tenant: &savedTenant{Name: tenant.Name(), Token: tenant.Token()}}); err != nil {
		return err
	}
	for record := range tenant.All() {
		if err := put(line{Record: &record}); err != nil {
			return err
		}
	}
	return nil
}
