package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/otaria/otaria/client"
)

// A question is a page of the list of targets that is asked for.
type question struct {
	q, sort string
	offset  int
	deep    bool // the page in the middle of the fleet
}

func (q question) String() string {
	var all []string
	if q.q != "" {
		all = append(all, "`"+strings.ReplaceAll(q.q, "|", `\|`)+"`")
	}
	if q.sort != "" {
		all = append(all, "sort `"+q.sort+"`")
	}
	if q.deep {
		all = append(all, "the page in the middle")
	}
	if len(all) == 0 {
		return "no filter"
	}
	return strings.Join(all, ", ")
}

// questions has every field of a target and every kind of operator; where it
// makes a difference, what finds few targets stands before what finds many.
func questions(size int) []question {
	var all []question
	for _, q := range []string{
		"",
		"controllerid==" + name(size/2), "controllerid==" + name(size / 2)[:9] + "*", "controllerid==dev-*", "controllerid==*" + name(size / 2)[6:], "controllerid==*1234*", "controllerid!=" + name(size/2), "controllerid=in=(dev-0000007,dev-0000017,dev-0000027)", "controllerid=lt=dev-0000100", "controllerid=gt=dev-0000100",
		"id==" + name(size/2),
		"name=='Pump 4444'", "name=='Gateway 1*'", "name==pump*", "name==*4444", "name==*123*", "name==*nothing*", "name==*", "name!='Pump 4444'", "name=in=('Pump 4444','Valve 1')", "name=out=('Pump 4444','Valve 1')", "name=ge=Valve",
		"description=='a gateway in the laboratory'", "description=='a pump'", "description==*laboratory*", "description==''", "description=is=null",
		"updatestatus==error", "updatestatus==in_sync", "updatestatus!=in_sync", "updatestatus=in=(error,pending)", "updatestatus=out=(registered,in_sync)",
		"ipaddress==http://10.0.17.92", "ipaddress==http://10.0.17.*", "ipaddress==*.17.92",
		"group=='europe/site 7'", "group==asia", "group==europe/*", "group!=asia", "group=in=('europe/site 7','europe/site 8')", "group=is=null",
		"lastcontrollerrequestat=le=${OVERDUE_TS}", "lastcontrollerrequestat=gt=${OVERDUE_TS}", "lastcontrollerrequestat=is=null",
		"attribute.serial==s4444", "attribute.revision==r17", "attribute.revision==r17*", "attribute.hw==a", "attribute.revision!=r17", "attribute.revision==*17", "attribute.revision=in=(r17,r18)", "attribute.revision=lt=r1", "attribute.missing==*", "attribute.hw==*", "attribute.hw=is=null", "attribute.missing=is=null",
		"metadata.hall==h17", "metadata.country==de", "metadata.hall==h17*", "metadata.country=is=null",
		"tag==lab", "tag==field", "tag!=field", "tag!=lab", "tag==l*", "tag=in=(lab,field)", "tag=out=(lab,field)", "tag!=*", "tag==lab,tag==field", "tag==lab;tag==field",
		"type==gateway", "type==pump", "type!=pump", "type=is=null", "type.name==gate*", "targettype.name==pump",
		"assignedds.name==firmware;assignedds.version==1.0", "assignedds.name==firmware;assignedds.version==2.0", "assignedds.version==1.0", "assignedds.version==2.0", "assignedds.version!=2.0", "assignedds.name=is=null",
		"installedds.version==1.0", "installedds.version==2.0", "installedds.version!=2.0",
		"autoconfirm==true", "autoconfirm==false",
		fmt.Sprintf("createdat=ge=%d", 1700000000000+1000*(size-size/1000)), fmt.Sprintf("createdat=ge=%d", 1700000000000+500*size), "createdby==jane", "createdby==john",
		fmt.Sprintf("lastmodifiedat=ge=%d", 1700000000000+1000*(size-size/1000)), "lastmodifiedby==jane",
		"controllerid==*4444* or name==*4444*", "(controllerid==*4444* or name==*4444*);(tag==lab,tag==field)", "updatestatus==error;tag==lab", "updatestatus==in_sync;tag==field", "group==asia;attribute.revision==r18", "group==asia;attribute.hw==a", "type==pump;updatestatus==in_sync;group==asia",
		"tag==lab,attribute.revision==r18", "tag==lab,updatestatus==error", "name==pump*;attribute.serial==s4444", "type==gateway,group=='europe/site 7'",
	} {
		all = append(all, question{q: q})
	}
	for _, field := range []string{"id", "controllerid", "name", "createdat", "lastmodifiedat", "updatestatus", "group", "ipaddress", "description", "type", "assignedds", "installedds", "lastcontrollerrequestat", "createdby", "autoconfirm"} {
		all = append(all, question{sort: field + ":DESC"})
	}
	return append(all,
		question{sort: "name:ASC"}, question{sort: "createdat:ASC"},
		question{q: "tag==lab", sort: "name:ASC"}, question{q: "tag==field", sort: "name:ASC"}, question{q: "tag==field", sort: "createdat:DESC"}, question{q: "updatestatus==error", sort: "createdat:DESC"},
		question{deep: true, offset: size / 2}, question{q: "tag==field", deep: true, offset: size / 4})
}

// An answer is what one question cost.
type answer struct {
	question
	total       int64
	median, max time.Duration
}

// asked is how often a question is asked after the server has answered it once;
// what takes longer than slow is asked twice in all.
const (
	asked = 9
	slow  = 300 * time.Millisecond
)

// ask asks all questions of one server, as scripts and the UI do: by HTTP, for
// 50 targets and the total.
func (p *plan) ask(ctx context.Context, c *contender) error {
	if err := p.describe(ctx, c); err != nil {
		return err
	}
	api := c.api()
	for _, q := range questions(c.size) {
		if !strings.Contains(q.String(), p.only) {
			continue
		}
		a := answer{question: q}
		times := make([]time.Duration, 0, asked)
		for n := asked + 1; len(times) < n; {
			began := time.Now()
			page, err := api.Targets(ctx, client.Query{Q: q.q, Sort: q.sort, Offset: q.offset, Limit: 50})
			if err != nil {
				return fmt.Errorf("%v: %w", q, err)
			}
			times = append(times, time.Since(began))
			a.total = page.Total
			if len(times) == 1 && times[0] > slow {
				n = 2
			}
		}
		if len(times) > 2 {
			times = times[1:] // the first one warms up
		}
		slices.Sort(times)
		a.median, a.max = times[len(times)/2], times[len(times)-1]
		c.answers = append(c.answers, a)
		p.say("%-18s %8.1f ms, at most %8.1f ms, %9s targets: %v", c.name(), ms(a.median), ms(a.max), grouped(int(a.total)), q)
	}
	return c.restoreAddresses(ctx)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// queries prints what was measured of queries: one row for each, with a column
// for each database.
func (f *figures) queries(b *strings.Builder) {
	var of []*contender
	for _, g := range f.groups {
		for _, c := range g.contenders {
			if c.answers != nil {
				of = append(of, c)
			}
		}
	}
	if len(of) == 0 {
		return
	}
	fmt.Fprintf(b, "\nThe first 50 of %s targets and how many there are in all, by HTTP; the median and the highest of %d in milliseconds, after one to warm up (of two in all where it takes more than %v):\n\n", grouped(of[0].size), asked, slow)
	b.WriteString("| filter | targets found |")
	for _, c := range of {
		fmt.Fprintf(b, " %s ms | at most |", c.database)
	}
	b.WriteString("\n|---|--:|" + strings.Repeat("--:|--:|", len(of)) + "\n")
	for i, a := range of[0].answers {
		fmt.Fprintf(b, "| %v | %s |", a.question, grouped(int(a.total)))
		for _, c := range of {
			fmt.Fprintf(b, " %.1f | %.1f |", ms(c.answers[i].median), ms(c.answers[i].max))
		}
		b.WriteString("\n")
	}
}
