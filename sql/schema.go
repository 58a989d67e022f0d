// Package schema holds rollcall's database schema: the migrations, embedded so that every binary carries
// them and runs from any folder, and beside them (not embedded) the queries that sqlc turns into Go for
// pkg/store. It owns the shape of the tables and promises that a migration, once released, is never edited:
// a change is a new file. It does not run anything; pkg/store does.
package schema

import "embed"

// Migrations are goose migrations, one file a step, named NNNNN_what.sql.
//
//go:embed migrations/*.sql
var Migrations embed.FS
