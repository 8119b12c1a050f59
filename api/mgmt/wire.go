package mgmt

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/caller"
	"github.com/otaria/otaria/fault"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/software"
)

// listBody is the envelope of every list (management-api 1.5).
type listBody[T any] struct {
	Content []T `json:"content"`
	Total   int `json:"total"`
	Size    int `json:"size"` // of this page
}

// paged marks the answers of calls that take the parameters of a list.
func (listBody[T]) paged() {}

// writeList answers with a page, each element made by body.
func writeList[E, T any](w http.ResponseWriter, r *http.Request, page []E, total int, body func(*E) T) error {
	return httpjson.Write(w, r, http.StatusOK, listBody[T]{Content: bodies(page, body), Total: total, Size: len(page)})
}

// bodies makes the wire form of each element; never nil, so that an empty list is [].
func bodies[E, T any](list []E, body func(*E) T) []T {
	out := make([]T, len(list))
	for i := range list {
		out[i] = body(&list[i])
	}
	return out
}

// stampsBody are the audit fields.
type stampsBody struct {
	CreatedBy      string `json:"createdBy"`
	CreatedAt      int64  `json:"createdAt"`
	LastModifiedBy string `json:"lastModifiedBy"`
	LastModifiedAt int64  `json:"lastModifiedAt"`
}

func newStampsBody(s caller.Stamps) stampsBody {
	return stampsBody{s.CreatedBy, s.CreatedAt.UnixMilli(), s.ModifiedBy, s.ModifiedAt.UnixMilli()}
}

// pathID reads an id from the path. What is no number is unreadable; a number
// that nothing has is looked up like any other.
func pathID[ID ~int64](r *http.Request, name string) (ID, error) {
	id, err := strconv.ParseInt(r.PathValue(name), 10, 64)
	if err != nil {
		return 0, fault.New(fault.Unreadable, "The path holds %q where an id belongs, which is a number.", r.PathValue(name))
	}
	return ID(id), nil
}

// href returns the absolute address of a path of this API.
func href(r *http.Request, format string, args ...any) string {
	return httpjson.BaseURL(r) + "/rest/v1" + fmt.Sprintf(format, args...)
}

// links begins the links of an entity with its own.
func links(self string) httpjson.Links { return httpjson.Links{{Rel: "self", Href: self}} }

// parameters are those of a list, read as httpjson.Param does: clients write
// semicolons into q.
func parameters(r *http.Request) url.Values {
	values := url.Values{}
	for _, name := range []string{"offset", "limit", "sort", "q"} {
		if v, ok := httpjson.Param(r, name); ok {
			values.Set(name, v)
		}
	}
	return values
}

// readList reads paging, sorting and q of a list, sorted by id when nothing else is said.
func readList(r *http.Request, f *query.Fields) (query.List, error) {
	return query.ParseList(parameters(r), f, query.Order{Field: "id"})
}

// readDeleted reads soft_deleted_mode (management-api 1.7).
func readDeleted(r *http.Request) (software.Deleted, error) {
	switch v := r.URL.Query().Get("soft_deleted_mode"); v {
	case "", "EXCLUDE_SOFT_DELETED":
		return software.WithoutDeleted, nil
	case "INCLUDE_SOFT_DELETED":
		return software.WithDeleted, nil
	case "ONLY_SOFT_DELETED":
		return software.OnlyDeleted, nil
	default:
		return 0, fault.New(fault.Unreadable, "soft_deleted_mode=%q is none of EXCLUDE_SOFT_DELETED, INCLUDE_SOFT_DELETED, ONLY_SOFT_DELETED.", v)
	}
}
