package virtuous

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"rollcall.dev/pkg/fault"
)

// Project is what a gift can be designated to.
type Project struct {
	ID       int64
	Code     string // "" if it has none; designations name projects by their codes
	Name     string
	IsActive bool
}

const (
	projectsPerPage = 100
	// maxProjects ends a list that goes on for ever.
	maxProjects = 100_000
)

// Projects returns all projects of the organization, active or not. It pages by number, so a project that is removed
// meanwhile may hide another one: a list whose length changes while it is read is an ErrUnknownAnswer.
func (c *Client) Projects(ctx context.Context) ([]Project, error) {
	var projects []Project
	seen := map[int64]bool{}
	length := -1
	for skip := 0; ; {
		r, rows, total, err := c.projectsFrom(ctx, skip)
		if err != nil {
			return nil, fmt.Errorf("read the projects: %w", err)
		}
		if skip == 0 {
			length = total
		}
		before := len(seen)
		for _, project := range rows {
			if !seen[project.ID] {
				projects = append(projects, project)
			}
			seen[project.ID] = true
		}
		skip += len(rows)
		switch {
		case total != length:
			return nil, fmt.Errorf("read the projects: %w", unknownAnswer(r, "the list changed while it was read"))
		case len(rows) == 0, total >= 0 && skip >= total:
			return projects, nil
		case len(seen) == before:
			return nil, fmt.Errorf("read the projects: %w", fault.Unknown("virtuous_page_repeats", answerFault(r, ErrPageRepeats)))
		case len(seen) > maxProjects:
			return nil, fmt.Errorf("read the projects: %w", unknownAnswer(r, "the list does not end"))
		}
	}
}

func (c *Client) projectsFrom(ctx context.Context, skip int) (r reply, rows []Project, total int, err error) {
	r, err = c.read(ctx, call{
		method: http.MethodPost, path: []string{"Project", "Query"}, body: []byte(`{"groups":[],"sortBy":"Id","descending":false}`),
		query:   url.Values{"skip": {strconv.Itoa(skip)}, "take": {strconv.Itoa(projectsPerPage)}},
		timeout: c.queryTimeout,
	})
	if err != nil {
		return r, nil, 0, err
	}
	list, total, err := listOf(r)
	if err != nil {
		return r, nil, 0, err
	}
	for row := range objects(list) {
		id, ok := readID(row.Get("id"))
		if !ok {
			return r, nil, 0, unknownAnswer(r, "a project has no id")
		}
		rows = append(rows, Project{
			ID: id, Code: textAt(row, "projectCode"), Name: textAt(row, "name"),
			IsActive: boolAt(row, "isActive") || isNone(row.Get("isActive")),
		})
	}
	return r, rows, total, nil
}
