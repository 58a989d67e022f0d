module rollcall.dev/sql

go 1.26.7
