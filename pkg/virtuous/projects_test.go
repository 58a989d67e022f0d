package virtuous

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRecordedProjectsAreRead(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		body := strings.Replace(string(payload(t, "recorded/projects_query.json")), `"total": 123`, `"total": 2`, 1)
		answering(200, body)(w, r)
	})
	projects, err := f.Projects(t.Context())
	require.NoError(t, err)
	require.Equal(t, []Project{{1, "test_project_1", "Test project 1", true}, {2, "test_project_2", "Test project 2", true}}, projects)
	require.Equal(t, "skip=0&take=100", f.got()[0].query)
}

func TestAllPagesOfProjectsAreRead(t *testing.T) {
	t.Parallel()
	for name, total := range map[string]string{"with a total": "250", "without a total": "null"} {
		f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
			skip, err := strconv.Atoi(r.URL.Query().Get("skip"))
			if err != nil {
				w.WriteHeader(http.StatusTeapot)
				return
			}
			var rows []string
			for id := skip + 1; id <= min(skip+100, 250); id++ {
				rows = append(rows, fmt.Sprintf(`{"id":%d,"projectCode":"P%d","isActive":%t}`, id, id, id%2 == 0))
			}
			answering(200, fmt.Sprintf(`{"list":[%s],"total":%s}`, strings.Join(rows, ","), total))(w, r)
		})
		projects, err := f.Projects(t.Context())
		require.NoError(t, err)
		require.Len(t, projects, 250, name)
		require.False(t, projects[0].IsActive)
		require.True(t, projects[249].IsActive)
	}
}

func TestProjectsThatRepeatAreAnError(t *testing.T) {
	t.Parallel()
	f := newFixture(t, answering(200, `{"list":[{"id":1}],"total":7}`))
	_, err := f.Projects(t.Context())
	require.ErrorIs(t, err, ErrPageRepeats)
	require.Len(t, f.got(), 2)
}

func TestProjectWithoutIDIsAnError(t *testing.T) {
	t.Parallel()
	_, err := newFixture(t, answering(200, `{"list":[{"projectCode":"A"}],"total":1}`)).Projects(t.Context())
	require.ErrorIs(t, err, ErrUnknownAnswer)
	_, err = newFixture(t, answering(403, ``)).Projects(t.Context())
	require.ErrorIs(t, err, ErrForbidden)
}

func TestProjectsWhoseNumberChangesMeanwhileAreAnUnknownAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("skip") == "0" {
			answering(200, `{"list":[{"id":1},{"id":2}],"total":4}`)(w, r)
			return
		}
		answering(200, `{"list":[{"id":4}],"total":3}`)(w, r) // 1 was removed, so that 3 is on no page
	})
	_, err := f.Projects(t.Context())
	require.ErrorIs(t, err, ErrUnknownAnswer)
}
