package database

import (
	"context"
	"database/sql"
	"errors"
)

// session is one SQLite connection with the statements that it has prepared.
type session struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
	broken   bool // not to be used again
}

// maxPrepared bounds what a session keeps: lists are asked for in many ways.
const maxPrepared = 500

func openSession(ctx context.Context, pool *sql.DB) (*session, error) {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, translate(err)
	}
	return &session{conn: conn, prepared: map[string]*sql.Stmt{}}, nil
}

func (s *session) close() error {
	s.forget()
	return s.conn.Close()
}

func (s *session) forget() {
	for query, stmt := range s.prepared {
		stmt.Close()
		delete(s.prepared, query)
	}
}

// statement prepares a query once for the life of the session.
func (s *session) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt, ok := s.prepared[query]; ok {
		return stmt, nil
	}
	if len(s.prepared) >= maxPrepared {
		s.forget()
	}
	stmt, err := s.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s.prepared[query] = stmt
	return stmt, nil
}

// ExecContext runs a statement. One that has begun does not see ctx's
// cancellation: the driver would start a goroutine for each to wait for it,
// which costs more than most statements do.
func (s *session) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, err := s.begin(ctx, query) //nolint:sqlclosecheck // kept for the session
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(context.Background(), args...)
}

// QueryContext runs a query, as ExecContext does a statement.
func (s *session) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := s.begin(ctx, query) //nolint:sqlclosecheck // kept for the session
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(context.Background(), args...)
}

func (s *session) begin(ctx context.Context, query string) (*sql.Stmt, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.statement(ctx, query)
}

// do runs a statement without arguments or answer, whatever became of the
// request.
func (s *session) do(statement string) error {
	_, err := s.ExecContext(context.Background(), statement)
	return translate(err)
}

// errClosed is what is asked of a database after its Close.
var errClosed = errors.New("the database is closed")

// sessions is a pool of sessions that read.
type sessions struct {
	pool *sql.DB
	idle chan *session
	// unopened holds a place for each that could be opened: a session costs a
	// millisecond, so that is done when all others are in use.
	unopened chan struct{}
}

func newSessions(pool *sql.DB, n int) *sessions {
	s := &sessions{pool, make(chan *session, n), make(chan struct{}, n)}
	for range n {
		s.unopened <- struct{}{}
	}
	return s
}

// use runs f with a session that nobody else uses meanwhile.
func (s *sessions) use(ctx context.Context, f func(*session) error) error {
	one, err := s.take(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if one.broken {
			_ = one.close()
			s.unopened <- struct{}{}
			return
		}
		s.idle <- one
	}()
	return f(one)
}

func (s *sessions) take(ctx context.Context) (*session, error) {
	select {
	case one := <-s.idle:
		return one, nil
	default:
	}
	select {
	case one := <-s.idle:
		return one, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.unopened:
	}
	one, err := openSession(ctx, s.pool)
	if err != nil {
		s.unopened <- struct{}{}
	}
	return one, err
}

// snapshot runs f with a session on one snapshot.
func (s *sessions) snapshot(ctx context.Context, f func(*session) error) error {
	return s.use(ctx, func(one *session) error {
		if err := one.do("BEGIN"); err != nil {
			one.broken = true
			return err
		}
		defer func() { one.broken = one.do("ROLLBACK") != nil }()
		return f(one)
	})
}

// close closes the sessions that nobody uses; the pool closes the rest.
func (s *sessions) close() {
	for {
		select {
		case one := <-s.idle:
			_ = one.close()
		default:
			return
		}
	}
}
