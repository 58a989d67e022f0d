package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"time"
)

// Paging is the input of a list.
type Paging struct {
	Cursor string `query:"cursor" maxLength:"500" doc:"The next of the page before."`
	Limit  int32  `query:"limit" minimum:"1" maximum:"100" default:"50" doc:"The largest number of items."`
}

// Page is one page of a list.
type Page[T any] struct {
	Items []T        `json:"items" nullable:"false"`
	Next  *string    `json:"next" doc:"The cursor of the next page; null on the last."`
	AsOf  *time.Time `json:"asOf,omitempty" doc:"The time from which ages are computed."`
}

// pageOf returns a page; next is where the following one begins, nil on the last.
func pageOf[T, Position any](items []T, next *Position) (Page[T], error) {
	page := Page[T]{Items: items}
	if page.Items == nil {
		page.Items = []T{}
	}
	if next == nil {
		return page, nil
	}
	cursor, err := encodeCursor(*next)
	page.Next = &cursor
	return page, err
}

// encodeCursor makes a position opaque, so that clients do not build one.
func encodeCursor[Position any](at Position) (string, error) {
	encoded, err := json.Marshal(at)
	return base64.RawURLEncoding.EncodeToString(encoded), err
}

// decodeCursor reads a cursor; of none it returns the zero position.
func decodeCursor[Position any](cursor string) (at Position, err error) {
	if cursor == "" {
		return at, nil
	}
	decoded, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(decoded, &at)
	}
	if err != nil {
		return at, &invalidError{location: "query.cursor", text: "must be the next of the page before"}
	}
	return at, nil
}
