package vomo

import (
	"cmp"
	"fmt"
	"slices"
)

// Snapshot is what an organisation keeps over a restart. All other people are invented again from the config.
type Snapshot struct {
	Config
	Revoked bool     `json:"revoked"`
	NextID  int64    `json:"nextId"`
	Removed []int64  `json:"removed"` // ids, rising
	Edited  []Person `json:"edited"`  // people who are no longer, or never were, as invented, also removed ones; by rising id
}

// Snapshot returns the organisations, by name.
func (d *Directory) Snapshot() []Snapshot {
	snapshots := []Snapshot{}
	for _, o := range d.All() {
		snapshot := o.snapshot()
		snapshot.Revoked = d.Revoked(o.config.Name)
		snapshots = append(snapshots, snapshot)
	}
	return snapshots
}

func (o *Organisation) snapshot() Snapshot {
	o.mu.RLock()
	defer o.mu.RUnlock()
	snapshot := Snapshot{
		Config: o.config, NextID: o.nextID,
		Removed: make([]int64, 0, o.nextID-FirstID-int64(len(o.rows))), Edited: make([]Person, 0, len(o.edited)),
	}
	rows := o.rows
	for id := FirstID; id < o.nextID; id++ {
		if len(rows) > 0 && rows[0].id == id {
			rows = rows[1:]
		} else {
			snapshot.Removed = append(snapshot.Removed, id)
		}
		if person, found := o.edited[id]; found {
			snapshot.Edited = append(snapshot.Edited, person)
		}
	}
	return snapshot
}

// Load adds organisations as they were when the snapshots were made. Errors: those of Add, and ErrInvalid.
func (d *Directory) Load(snapshots []Snapshot) error {
	for _, snapshot := range snapshots {
		added, err := d.Add(snapshot.Config)
		if err != nil {
			return err
		}
		if snapshot.Revoked {
			d.Revoke(snapshot.Name)
		}
		if err := added.restore(snapshot); err != nil {
			return err
		}
	}
	return nil
}

func (o *Organisation) restore(snapshot Snapshot) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if snapshot.NextID < o.nextID {
		return fmt.Errorf("next id of %s: %w", o.config.Name, ErrInvalid)
	}
	before := FirstID - 1
	for _, person := range snapshot.Edited {
		if person.ID <= before || person.ID >= snapshot.NextID {
			return fmt.Errorf("ids of %s: %w", o.config.Name, ErrInvalid)
		}
		before = person.ID
		if person.ID >= o.nextID { // the person was added, not invented
			o.rows = append(o.rows, row{id: person.ID})
		}
	}
	o.nextID = snapshot.NextID
	o.rows = slices.DeleteFunc(o.rows, func(r row) bool {
		_, isRemoved := slices.BinarySearchFunc(snapshot.Removed, r.id, cmp.Compare[int64])
		return isRemoved
	})
	for _, person := range snapshot.Edited {
		if _, found := o.indexOf(person.ID); found {
			o.keep(person)
		} else {
			o.edited[person.ID] = person
		}
	}
	o.sortByUpdate() // once: to move each edited person by itself takes minutes in a large organisation
	return nil
}

// Changes returns a number that rises with every change to the organisations or their people.
func (d *Directory) Changes() uint64 {
	d.mu.RLock()
	changes := d.changes
	d.mu.RUnlock()
	for _, o := range d.All() {
		o.mu.RLock()
		changes += o.changes
		o.mu.RUnlock()
	}
	return changes
}
