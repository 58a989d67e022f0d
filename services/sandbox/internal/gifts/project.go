package gifts

import (
	"slices"
	"strings"
	"time"
)

// Project is one version of a project. It never changes.
type Project struct {
	ID       int64     `json:"id"`
	Code     string    `json:"code"`
	Name     string    `json:"name"`
	Active   bool      `json:"active"`
	Created  time.Time `json:"created"`
	Modified time.Time `json:"modified"`
}

// Projects returns all projects, by id.
func (o *Organisation) Projects() []*Project {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return slices.Clone(o.s.Projects)
}

// Project returns a project by id, or nil.
func (o *Organisation) Project(id int64) *Project {
	o.mu.RLock()
	defer o.mu.RUnlock()
	i := slices.IndexFunc(o.s.Projects, func(p *Project) bool { return p.ID == id })
	if i < 0 {
		return nil
	}
	return o.s.Projects[i]
}

// project returns a project by its code, or nil.
func (o *Organisation) project(code string) *Project {
	i := slices.IndexFunc(o.s.Projects, func(p *Project) bool { return strings.EqualFold(p.Code, code) })
	if i < 0 {
		return nil
	}
	return o.s.Projects[i]
}

// PutProject adds a project or changes one.
func (o *Organisation) PutProject(now time.Time, code, name string, active bool) *Project {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.advance(now)
	at := now.UTC().Truncate(time.Second)
	made := &Project{Code: code, Name: name, Active: active, Created: at, Modified: at}
	o.changes++
	i := slices.IndexFunc(o.s.Projects, func(p *Project) bool { return strings.EqualFold(p.Code, code) })
	if i < 0 {
		made.ID = o.s.Next.Project
		o.s.Next.Project++
		o.s.Projects = append(o.s.Projects, made)
		return made
	}
	made.ID, made.Created = o.s.Projects[i].ID, o.s.Projects[i].Created
	if name == "" {
		made.Name = o.s.Projects[i].Name
	}
	o.s.Projects[i] = made
	return made
}
