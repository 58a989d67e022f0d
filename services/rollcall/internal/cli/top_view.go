package cli

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/dustin/go-humanize"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/report"
)

// topSource is where the view gets what it shows.
type topSource struct {
	board  func() (report.BoardReply, error)
	status func(customer string) (report.Status, error)
	wait   func() error // until the next question
}

// Messages that the view gets besides keys.
type (
	boardMsg struct {
		board report.BoardReply
		err   error
	}
	statusMsg struct {
		customer string
		status   report.Status
		err      error
	}
	topTick struct{}
)

// topModel is the live view. Bubble Tea passes it by value.
type topModel struct {
	source        topSource
	board         report.BoardReply
	err           error // the last question was not answered
	width, height int
	chosen        string // the customer under the cursor
	paused        bool
	opened        string         // the customer whose reasons are shown, or ""
	status        *report.Status // of that customer; nil until it is known
}

// The size until the terminal has said its own.
const (
	assumedWidth  = 100
	assumedHeight = 30
)

func newTopModel(source topSource, first report.BoardReply) topModel {
	model := topModel{source: source, width: assumedWidth, height: assumedHeight}
	return model.withBoard(first)
}

// Init waits for the first refresh: the first board is known.
func (m topModel) Init() tea.Cmd { return m.tick }

func (m topModel) tick() tea.Msg {
	if m.source.wait() != nil {
		return tea.Quit()
	}
	return topTick{}
}

func (m topModel) askBoard() tea.Msg {
	board, err := m.source.board()
	return boardMsg{board, err}
}

func (m topModel) askStatus() tea.Msg {
	if m.opened == "" {
		return nil
	}
	status, err := m.source.status(m.opened)
	return statusMsg{m.opened, status, err}
}

// Update handles a key, an answer, or the time for the next question.
func (m topModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		return m.pressed(msg.String())
	case topTick:
		if m.paused {
			return m, m.tick
		}
		return m, tea.Batch(m.askBoard, m.askStatus)
	case boardMsg:
		m.err = msg.err
		if msg.err == nil {
			m = m.withBoard(msg.board)
		}
		return m, m.tick // only now, so that a slow service is not asked twice at once
	case statusMsg:
		if msg.customer == m.opened {
			m.err = msg.err
			if msg.err == nil {
				m.status = &msg.status
			}
		}
	}
	return m, nil
}

func (m topModel) pressed(key string) (tea.Model, tea.Cmd) {
	switch key {
	case "q", "ctrl+c":
		return m, tea.Quit
	case "p":
		m.paused = !m.paused
	case "j", "down":
		m = m.moved(1)
	case "k", "up":
		m = m.moved(-1)
	case "enter":
		if m.opened == "" && m.chosen != "" {
			m.opened, m.status = m.chosen, nil
			return m, m.askStatus
		}
		m.opened = ""
	case "esc", "backspace":
		m.opened = ""
	}
	return m, nil
}

func (m topModel) at() int {
	return slices.IndexFunc(m.board.Customers, func(customer report.BoardCustomer) bool { return customer.CustomerID == m.chosen })
}

func (m topModel) moved(by int) topModel {
	if count := len(m.board.Customers); count > 0 && m.opened == "" {
		m.chosen = m.board.Customers[min(max(m.at()+by, 0), count-1)].CustomerID
	}
	return m
}

// withBoard keeps the cursor on its customer, wherever that is now.
func (m topModel) withBoard(board report.BoardReply) topModel {
	m.board = board
	if m.at() < 0 {
		m.chosen = ""
		if len(board.Customers) > 0 {
			m.chosen = board.Customers[0].CustomerID
		}
	}
	return m
}

// View draws the whole screen.
func (m topModel) View() tea.View {
	lines := append(m.heading(), "")
	keys := "q end  j/k choose  enter what is wrong  p pause"
	if m.opened == "" {
		lines = append(lines, m.customers(m.height-len(lines)-1)...)
	} else {
		keys = "q end  esc back  p pause"
		lines = append(lines, m.reasons()...)
	}
	lines = lines[:min(len(lines), max(m.height-1, 0))]
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	lines = append(lines, keys)
	for i, line := range lines {
		lines[i] = ansi.Truncate(line, m.width, "…")
	}
	view := tea.NewView(strings.Join(lines, "\n"))
	view.AltScreen, view.WindowTitle = true, "rollcall top"
	return view
}

// heading is what is above the customers: counts, rates, queues, and what keeps the view from being new.
func (m topModel) heading() []string {
	first := boardHeading(m.board)
	if m.paused {
		first += "  PAUSED"
	}
	lines := []string{first, ratesText(m.board.Rates)}
	lines = append(lines, strings.Split(ansi.Wordwrap(queuesText(m.board.Queues), m.width, ""), "\n")...)
	if m.err != nil {
		lines = append(lines, "Not refreshed: "+printable(m.err.Error()))
	}
	return lines
}

// queuesText names the streams that hold messages.
func queuesText(queues []report.BoardQueue) string {
	if queues == nil {
		return "streams: JetStream does not answer"
	}
	var held []string
	for _, queue := range queues {
		if queue.OldestSeconds != nil {
			name := strings.ToLower(strings.TrimPrefix(queue.Stream, bus.StreamPrefix))
			messages := humanize.Comma(int64(queue.Messages)) //nolint:gosec // G115: no stream has as many
			held = append(held, fmt.Sprintf("%s %s (oldest %s)", name, messages, seconds(*queue.OldestSeconds)))
		}
	}
	if len(held) == 0 {
		return "streams: all empty"
	}
	return "streams: " + strings.Join(held, ", ")
}

// customers draws the table, as many rows as there is room for, around the cursor.
func (m topModel) customers(room int) []string {
	if len(m.board.Customers) == 0 {
		return []string{"There is no customer yet."}
	}
	var drawn bytes.Buffer
	columns := table{tabwriter.NewWriter(&drawn, 0, 0, 2, ' ', 0)}
	columns.row(boardColumns()...)
	for _, customer := range m.board.Customers {
		columns.row(boardRow(customer)...)
	}
	_ = columns.end() // a buffer takes everything
	rows := strings.Split(strings.TrimSuffix(drawn.String(), "\n"), "\n")
	heading, rows := rows[0], rows[1:]
	at := m.at()
	rows[at] = ansi.Style{}.Reverse(true).Styled(rows[at])
	room = max(room-1, 1)
	from := max(min(at-room/2, len(rows)-room), 0)
	return append([]string{ansi.Style{}.Bold().Styled(heading)}, rows[from:min(from+room, len(rows))]...)
}

// reasons draws what is wrong with the opened customer, and what helps.
func (m topModel) reasons() []string {
	if m.status == nil {
		return []string{m.opened + ": asking …"}
	}
	health := m.status.Health
	lines := []string{ansi.Style{}.Bold().Styled(m.opened) + "  healthy: " + yesNo(health.IsHealthy)}
	if len(health.Reasons) == 0 {
		lines = append(lines, "Nothing is wrong.")
	}
	for _, reason := range health.Reasons {
		mark := "for information"
		if reason.Unhealthy {
			mark = "unhealthy"
		}
		if reason.Since != nil {
			mark += ", since " + moment(*reason.Since)
		}
		if reason.Until != nil {
			mark += ", tried again " + moment(*reason.Until)
		}
		lines = append(lines, "", ansi.Style{}.Bold().Styled(printable(reason.Code))+" ("+mark+")")
		for _, text := range []string{reason.Text, reason.Remedy} {
			if text != "" {
				lines = append(lines, strings.Split(ansi.Wordwrap("  "+printable(text), max(m.width, 1), ""), "\n")...)
			}
		}
	}
	return lines
}
