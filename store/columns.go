package store

import (
	"maps"

	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/fleet"
	"github.com/otaria/otaria/query"
	"github.com/otaria/otaria/rollout"
)

// Where in SQL each listed entity's fields are (spec management-api 3.4). The
// entity's own table has the alias e.

// audited has the columns that nearly every entity has, and those of its own.
func audited(own map[string]column) map[string]column {
	all := map[string]column{
		"id":             {sql: "e.id"},
		"createdat":      {sql: "e.created_at"},
		"createdby":      {sql: "e.created_by"},
		"lastmodifiedat": {sql: "e.modified_at"},
		"lastmodifiedby": {sql: "e.modified_by"},
	}
	maps.Copy(all, own)
	return all
}

// typed adds the three columns of the type that e.type_id leads to.
func typed(fields map[string]column, name, table string, null bool) {
	r := &relation{near: "e.type_id", far: "r.id", from: table + " r", tenant: "r.tenant_id", end: table + " r"}
	fields[name+".id"] = column{sql: "e.type_id", null: null}
	fields[name+".key"] = column{sql: "r.key", rel: r}
	fields[name+".name"] = column{sql: "r.name", rel: r}
}

func byKey() order { return order{sql: "e.id", unique: true} }

// targetColumns are those of a target e with its state h (targetFrom).
func targetColumns() columns {
	tag := &relation{near: "e.id", far: "l.target_id", from: "target_tagging l JOIN target_tag r ON r.id = l.tag_id", tenant: "r.tenant_id", reach: query.Set, end: "target_tag r", key: "l.target_id", way: "target_tagging l WHERE l.tag_id"}
	assigned := &relation{near: "h.assigned_set", far: "r.id", from: "distribution_set r", tenant: "r.tenant_id", end: "distribution_set r", key: "h.target_id", way: "target_state h WHERE h.assigned_set"}
	installed := &relation{near: "h.installed_set", far: "r.id", from: "distribution_set r", tenant: "r.tenant_id", end: "distribution_set r", key: "h.target_id", way: "target_state h WHERE h.installed_set"}
	visit := &relation{near: "e.id", far: "r.target_id", from: "target_visit r"}
	attribute := &relation{near: "e.id", far: "r.target_id", from: "target_attribute r", keyed: true}
	metadata := &relation{near: "e.id", far: "r.target_id", from: "target_metadata r", keyed: true}
	confirm := &relation{near: "e.id", far: "r.target_id", from: "auto_confirm r"}
	fields := audited(map[string]column{
		"id":                      {sql: "e.controller_id", index: byText},
		"controllerid":            {sql: "e.controller_id", index: byText},
		"name":                    {sql: "e.name", index: byText},
		"description":             {sql: "e.description", null: true},
		"updatestatus":            {sql: "h.status", codes: fleet.StatusField("").Values},
		"ipaddress":               {sql: "e.address", null: true},
		"group":                   {sql: "e.group_name", null: true, index: byText},
		"lastcontrollerrequestat": {sql: "r.seen_at", rel: visit},
		"attribute":               {sql: "r.value", key: "r.key", rel: attribute, index: byText},
		"metadata":                {sql: "r.value", key: "r.key", rel: metadata, index: byText, head: "substr(lower(r.value), 1, 100)"},
		"assignedds.name":         {sql: "r.name", rel: assigned, index: byFew},
		"assignedds.version":      {sql: "r.version", rel: assigned, index: byFew},
		"installedds.name":        {sql: "r.name", rel: installed, index: byFew},
		"installedds.version":     {sql: "r.version", rel: installed, index: byFew},
		"tag.name":                {sql: "r.name", rel: tag, index: byFew},
		"autoconfirm":             {rel: confirm, any: true, index: byFew},
		"lastmodifiedat":          {sql: "h.modified_at"},
		"lastmodifiedby":          {sql: "h.modified_by"},
	})
	typed(fields, "type", "target_type", true)
	typed(fields, "targettype", "target_type", true)
	for _, name := range []string{"type", "targettype"} {
		for path, index := range map[string]index{name + ".id": byNumber, name + ".key": byFew, name + ".name": byFew} {
			c := fields[path]
			c.index = index
			fields[path] = c
		}
		fields[name+".key"].rel.key, fields[name+".key"].rel.way = rowKey, "target e WHERE e.type_id"
	}
	byController := order{sql: "e.controller_id", unique: true}
	return columns{table: "target e", joined: targetState, alias: "h", fields: fields, orders: map[string]order{
		"id":                      byController,
		"controllerid":            byController,
		"name":                    {sql: "e.name", index: true},
		"createdat":               {sql: "e.created_at", index: true},
		"lastcontrollerrequestat": {sql: "(SELECT r.seen_at FROM target_visit r WHERE r.target_id = e.id)", null: true},
		"assignedds":              {sql: "h.assigned_set", null: true},
		"installedds":             {sql: "h.installed_set", null: true},
		"type":                    {sql: "e.type_id", null: true},
		"targettype":              {sql: "e.type_id", null: true},
		"autoconfirm":             {sql: "EXISTS (SELECT 1 FROM auto_confirm r WHERE r.target_id = e.id)"},
		"attribute":               {},
		"metadata":                {},
		"tag":                     {},
	}}
}

// targetBelowColumns are those of a list of targets below another entity, whose
// sort parameter knows the other entity's fields: there id is the number.
func targetBelowColumns() columns {
	c := targetColumns()
	c.orders["id"] = byKey()
	return c
}

func targetTypeColumns() columns {
	return columns{fields: audited(map[string]column{
		"key":         {sql: "e.key"},
		"name":        {sql: "e.name"},
		"description": {sql: "e.description", null: true},
	}), orders: map[string]order{"id": byKey()}}
}

func targetTagColumns() columns {
	return columns{fields: audited(map[string]column{
		"name":        {sql: "e.name"},
		"description": {sql: "e.description", null: true},
		"colour":      {sql: "e.colour", null: true},
	}), orders: map[string]order{"id": byKey()}}
}

func moduleTypeColumns() columns {
	return columns{fields: audited(map[string]column{
		"key":            {sql: "e.key"},
		"name":           {sql: "e.name"},
		"description":    {sql: "e.description", null: true},
		"maxassignments": {sql: "e.max_assignments"},
	}), orders: map[string]order{"id": byKey()}}
}

func moduleColumns() columns {
	metadata := &relation{near: "e.id", far: "r.module_id", from: "software_module_metadata r"}
	fields := audited(map[string]column{
		"name":        {sql: "e.name"},
		"version":     {sql: "e.version"},
		"description": {sql: "e.description", null: true},
		"metadata":    {sql: "r.value", null: true, key: "r.key", rel: metadata},
	})
	typed(fields, "type", "software_module_type", false)
	return columns{fields: fields, orders: map[string]order{"id": byKey(), "type": {sql: "e.type_id"}, "metadata": {}}}
}

func setTypeColumns() columns { return targetTypeColumns() }

func setColumns() columns {
	tag := &relation{near: "e.id", far: "l.set_id", from: "distribution_set_tagging l JOIN distribution_set_tag r ON r.id = l.tag_id", tenant: "r.tenant_id", reach: query.Set}
	module := &relation{near: "e.id", far: "l.set_id", from: "distribution_set_module l JOIN software_module r ON r.id = l.module_id", tenant: "r.tenant_id", reach: query.Set}
	metadata := &relation{near: "e.id", far: "r.set_id", from: "distribution_set_metadata r"}
	fields := audited(map[string]column{
		"name":        {sql: "e.name"},
		"version":     {sql: "e.version"},
		"description": {sql: "e.description", null: true},
		"module.id":   {sql: "r.id", rel: module},
		"module.name": {sql: "r.name", rel: module},
		"tag.name":    {sql: "r.name", rel: tag},
		"metadata":    {sql: "r.value", key: "r.key", rel: metadata},
		"valid":       {sql: "e.valid"},
	})
	typed(fields, "type", "distribution_set_type", false)
	return columns{fields: fields, orders: map[string]order{
		"id": byKey(), "type": {sql: "e.type_id"}, "module": {}, "tag": {}, "metadata": {}, "complete": {},
	}}
}

func setTagColumns() columns {
	set := &relation{near: "e.id", far: "l.tag_id", from: "distribution_set_tagging l JOIN distribution_set r ON r.id = l.set_id", tenant: "r.tenant_id", reach: query.Joined}
	c := targetTagColumns()
	c.fields["distributionset.id"] = column{sql: "r.id", rel: set}
	c.fields["distributionset.name"] = column{sql: "r.name", rel: set}
	return c
}

func actionColumns() columns {
	target := &relation{near: "e.target_id", far: "r.id", from: "target r", tenant: "r.tenant_id"}
	state := &relation{near: "e.target_id", far: "r.target_id", from: "target_state r"}
	set := &relation{near: "e.set_id", far: "r.id", from: "distribution_set r", tenant: "r.tenant_id"}
	kind := &relation{near: "e.set_id", far: "r.id", from: "distribution_set r JOIN distribution_set_type s ON s.id = r.type_id", tenant: "r.tenant_id"}
	campaign := &relation{near: "e.rollout_id", far: "r.id", from: "rollout r", tenant: "r.tenant_id"}
	group := &relation{near: "e.rollout_group_id", far: "r.id", from: "rollout_group r", tenant: "r.tenant_id"}
	return columns{fields: audited(map[string]column{
		"active":                    {sql: "e.active"},
		"status":                    {sql: "e.status", codes: deployment.StatusField().Values},
		"laststatuscode":            {sql: "e.last_code", null: true},
		"weight":                    {sql: "e.weight"},
		"externalref":               {sql: "e.external_ref", null: true},
		"target.controllerid":       {sql: "r.controller_id", rel: target},
		"target.name":               {sql: "r.name", rel: target},
		"target.updatestatus":       {sql: "r.status", rel: state, codes: fleet.StatusField("").Values},
		"target.address":            {sql: "r.address", null: true, rel: target},
		"distributionset.id":        {sql: "e.set_id"},
		"distributionset.name":      {sql: "r.name", rel: set},
		"distributionset.version":   {sql: "r.version", rel: set},
		"distributionset.type.id":   {sql: "r.type_id", rel: set},
		"distributionset.type.key":  {sql: "s.key", rel: kind},
		"distributionset.type.name": {sql: "s.name", rel: kind},
		"rollout.id":                {sql: "e.rollout_id", null: true},
		"rollout.name":              {sql: "r.name", rel: campaign},
		"rolloutgroup.id":           {sql: "e.rollout_group_id", null: true},
		"rolloutgroup.name":         {sql: "r.name", rel: group},
	}), orders: map[string]order{
		"id":              byKey(),
		"target":          {sql: "e.target_id"},
		"distributionset": {sql: "e.set_id"},
		"rollout":         {sql: "e.rollout_id", null: true},
		"rolloutgroup":    {sql: "e.rollout_group_id", null: true},
	}}
}

// statusColumns are those of the history of an action, which is only sorted.
func statusColumns() columns {
	return columns{fields: map[string]column{
		"timestamp":  {sql: "e.occurred_at"},
		"reportedat": {sql: "e.reported_at"},
		"createdat":  {sql: "e.reported_at"},
	}, orders: map[string]order{
		"id":        byKey(),
		"createdby": {}, // whoever reported: the order of the device and the server tells nothing
	}}
}

func rolloutColumns() columns {
	set := &relation{near: "e.set_id", far: "r.id", from: "distribution_set r", tenant: "r.tenant_id"}
	kind := &relation{near: "e.set_id", far: "r.id", from: "distribution_set r JOIN distribution_set_type s ON s.id = r.type_id", tenant: "r.tenant_id"}
	return columns{fields: audited(map[string]column{
		"name":                      {sql: "e.name"},
		"description":               {sql: "e.description", null: true},
		"status":                    {sql: "e.status", codes: rollout.StatusNames()},
		"distributionset.id":        {sql: "e.set_id"},
		"distributionset.name":      {sql: "r.name", rel: set},
		"distributionset.version":   {sql: "r.version", rel: set},
		"distributionset.type.id":   {sql: "r.type_id", rel: set},
		"distributionset.type.key":  {sql: "s.key", rel: kind},
		"distributionset.type.name": {sql: "s.name", rel: kind},
	}), orders: map[string]order{"id": byKey(), "distributionset": {sql: "e.set_id"}}}
}

func groupColumns() columns {
	return columns{fields: audited(map[string]column{
		"name":        {sql: "e.name"},
		"description": {sql: "e.description", null: true},
	}), orders: map[string]order{"id": byKey(), "status": {sql: "e.status"}}}
}

func autoAssignmentColumns() columns {
	set := &relation{near: "e.set_id", far: "r.id", from: "distribution_set r", tenant: "r.tenant_id"}
	return columns{fields: audited(map[string]column{
		"name":                    {sql: "e.name"},
		"status":                  {sql: "e.status", codes: rollout.AutoAssignmentStatusNames()},
		"actiontype":              {sql: "e.type", codes: []string{"forced", "soft", "timeforced", "download_only"}},
		"approvaldecidedby":       {sql: "e.approval_by", null: true},
		"distributionset.name":    {sql: "r.name", rel: set},
		"distributionset.version": {sql: "r.version", rel: set},
	}), orders: map[string]order{"id": byKey(), "distributionset": {sql: "e.set_id"}}}
}

func targetFilterColumns() columns {
	const linked = "auto_assignment x ON x.tenant_id = l.tenant_id AND x.name = l.name AND x.filter = l.query"
	set := &relation{near: "e.id", far: "l.id", from: "target_filter l JOIN " + linked + " JOIN distribution_set r ON r.id = x.set_id", tenant: "r.tenant_id"}
	return columns{fields: audited(map[string]column{
		"name":                              {sql: "e.name"},
		"autoassigndistributionset.name":    {sql: "r.name", rel: set},
		"autoassigndistributionset.version": {sql: "r.version", rel: set},
	}), orders: map[string]order{
		"id":                        byKey(),
		"autoassigndistributionset": {sql: "(SELECT x.set_id FROM target_filter l JOIN " + linked + " WHERE l.id = e.id)", null: true},
	}}
}
