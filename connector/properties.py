"""The properties that Stagekeeper adds to a portal, as one table, and the kinds of HubSpot's own that rules often read.

What a salesperson or a form fills in comes first, what Stagekeeper writes comes last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

MARKER = "sk_key"
"""The property on tasks and deals that makes them recognisable after a crash: HubSpot knows no idempotency key."""
GROUP = "stagekeeper"
GROUP_LABEL = "Stagekeeper"

Options = Sequence[tuple[str, str]]
"""(value, label), in the order in which people see them"""
Form = Literal["one of", "several", "text", "long text", "number", "date", "moment"]

_HUBSPOT_TYPES: Mapping[Form, tuple[str, str]] = {
    "one of": ("enumeration", "select"),
    "several": ("enumeration", "checkbox"),
    "text": ("string", "text"),
    "long text": ("string", "textarea"),
    "number": ("number", "number"),
    "date": ("date", "date"),
    "moment": ("datetime", "date"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Definition:
    """A property that should be there."""

    object_type: str
    name: str
    label: str
    description: str
    form: Form
    options: Options = ()
    filled_in: bool = True
    """A person or a form fills it in; otherwise Stagekeeper writes it."""

    @property
    def type(self) -> str:
        """Give HubSpot's type."""
        return _HUBSPOT_TYPES[self.form][0]

    @property
    def field_type(self) -> str:
        """Give HubSpot's type of the field in which people see it."""
        return _HUBSPOT_TYPES[self.form][1]


def _contact(name: str, label: str, description: str, form: Form, options: Options = ()) -> Definition:
    return Definition(
        object_type="contacts", name=name, label=label, description=description, form=form, options=options
    )


def _yes_no(name: str, label: str, description: str) -> Definition:
    return _contact(name, label, description, "one of", (("yes", "Yes"), ("no", "No")))


def _written(name: str, label: str, description: str, form: Form, options: Options = ()) -> Definition:
    return Definition(
        object_type="contacts", name=name, label=label, description=description, form=form, options=options,
        filled_in=False,
    )  # fmt: skip


def _marker(object_type: str) -> Definition:
    return Definition(
        object_type=object_type,
        name=MARKER,
        label="Stagekeeper key",
        description="Marks what Stagekeeper made, so that nothing is made twice. Please leave it alone.",
        form="text",
        filled_in=False,
    )


_STEPS = (
    ("discovery_meeting", "Discovery meeting"),
    ("proposal", "Proposal"),
    ("presentation", "Presentation"),
    ("final_review", "Final review"),
    ("close", "Close"),
)

CONTACT_PROPERTIES: tuple[Definition, ...] = (
    _yes_no("sk_target_market", "In our target market", "Do they belong to the market we sell to?"),
    _contact("sk_relationship", "Relationship", "What they are to us other than a possible buyer.", "one of", (
        ("supplier", "Supplier"), ("partner", "Partner"), ("customer", "Customer"),
        ("past_customer", "Past customer"), ("referrer", "Referrer"), ("other", "Other"),
    )),
    _contact("sk_source", "Source", "How we came to know them.", "one of", (
        ("inbound", "Inbound enquiry"), ("referral", "Referral"), ("marketing", "Marketing"),
        ("purchased_list", "Purchased list"), ("event", "Event"), ("linkedin", "LinkedIn"),
        ("social", "Other social media"), ("research", "Own research"), ("met_in_person", "Met in person"),
    )),
    _contact("sk_interest", "Signs of interest", "What they did that shows interest.", "several", (
        ("form", "Filled in a form"), ("download", "Downloaded something"), ("newsletter", "Took the newsletter"),
        ("seminar", "Came to a seminar"), ("social_like", "Liked a post"), ("blog_comment", "Commented on the blog"),
        ("heard_of", "Had heard of us"),
    )),
    _contact("sk_engagement", "Engagement", "How they have dealt with us in person.", "several", (
        ("phone_call", "Phone call"), ("email_reply", "Replied to an e-mail"), ("email_click", "Clicked in an e-mail"),
        ("trade_show_chat", "Talk at a trade show"), ("social_question", "Question on social media"),
        ("meeting", "Meeting"),
    )),
    _yes_no("sk_meeting_scheduled", "Meeting scheduled", "Is a meeting, call or video call agreed for a set time?"),
    _yes_no("sk_positive_response", "Positive response", "Did they respond well to our approach?"),
    _yes_no("sk_contacted", "Contacted", "Have we approached them?"),
    _contact("sk_unanswered", "Unanswered approaches", "Our approaches since their last sign of life.", "number"),
    _contact("sk_need", "Need", "Do they need what we sell?", "one of", (
        ("none", "None"), ("possible", "Possible"), ("definite", "Definite"),
    )),
    _yes_no("sk_winnable", "Winnable", "Does the seller believe that we can win them?"),
    _contact("sk_intent", "Intent", "What they mean to do.", "one of", (
        ("unwilling", "Unwilling"), ("unclear", "Unclear"), ("interested", "Interested"),
        ("wants_to_buy", "Wants to buy"),
    )),
    _yes_no("sk_authority", "Authority", "Can they decide to buy?"),
    _yes_no("sk_budget", "Budget", "Do they have the money for it?"),
    _yes_no("sk_timeline", "Timeline", "Is there a time by which they want it?"),
    _yes_no("sk_knowledge", "Knowledge", "Do they know enough to decide?"),
    _yes_no("sk_requirements", "Requirements", "Do they have what the product requires?"),
    _contact("sk_ready_by", "Ready by", "The day by which they expect to be ready to buy.", "date"),
    _contact("sk_blocked_by", "Blocked by", "What keeps them from buying now.", "one of", (
        ("budget", "Budget"), ("contract", "Contract with somebody else"), ("other", "Something else"),
    )),
    _contact("sk_blocked_until", "Blocked until", "The day on which that ends.", "date"),
    _yes_no("sk_committed", "Committed", "Have they expressly agreed to commit?"),
    _yes_no("sk_erasure_requested", "Erasure requested", "Have they asked us to forget them?"),
    _contact("sk_sales_step", "Sales step", "The step of the sale that is under way.", "one of", _STEPS),
    _contact("sk_step_moved_by", "Step moved by", "Who moved the sale to this step.", "one of", (
        ("seller", "Seller"), ("customer", "Customer"),
    )),
    _written("sk_prospect_status", "Prospect status", "How warm the prospect is.", "one of", (
        ("new", "New"), ("hot", "Hot"), ("warm", "Warm"), ("cold", "Cold"), ("closed", "Closed"),
    )),
    _written("sk_lead_status", "Lead status", "What stands between this lead and the next stage.", "one of", (
        ("cold", "Cold"), ("unverified", "Unverified"),
    )),
    _written("sk_accepted_step", "Accepted step", "The last step that the customer accepted.", "one of", _STEPS),
    _written("sk_drip", "Drip campaign", "Belongs in the drip campaign.", "one of", (("true", "Yes"),)),
    _written("sk_next_step", "Next step", "What to do next with this contact.", "text"),
    _written("sk_reason", "Reason for the stage", "Why the contact is in its stage.", "long text"),
    _written("sk_rule", "Rule", "The rule that decided.", "text"),
    _written("sk_decided_at", "Decided at", "When Stagekeeper last decided.", "moment"),
)  # fmt: skip

MARKERS: tuple[Definition, ...] = (_marker("tasks"), _marker("deals"))

HUBSPOT_FORMS: Mapping[str, Mapping[str, Form]] = {
    "contact": {
        **dict.fromkeys(
            ("createdate", "lastmodifieddate", "notes_last_contacted", "notes_last_updated", "notes_next_activity_date",
             "hs_sales_email_last_replied", "hs_sales_email_last_opened", "hs_sales_email_last_clicked",
             "hs_last_sales_activity_timestamp", "hs_email_last_open_date", "hs_email_last_click_date",
             "hs_email_last_reply_date", "hs_email_last_send_date", "recent_conversion_date", "first_conversion_date",
             "hs_latest_meeting_activity", "engagements_last_meeting_booked", "hs_analytics_last_visit_timestamp",
             "closedate", "recent_deal_close_date", "first_deal_created_date"), "moment",
        ),
        **dict.fromkeys(
            ("hs_email_delivered", "hs_email_open", "hs_email_click", "hs_email_replied", "hs_email_bounce",
             "num_notes", "hs_email_sends_since_last_engagement", "num_contacted_notes", "num_conversion_events",
             "num_unique_conversion_events", "hs_analytics_num_page_views", "hs_analytics_num_visits",
             "hs_analytics_num_event_completions", "hubspotscore", "num_associated_deals", "recent_deal_amount",
             "total_revenue", "days_to_close"), "number",
        ),
    },
    "company": dict.fromkeys(("numberofemployees", "annualrevenue", "num_associated_contacts"), "number"),
    "deal": {**dict.fromkeys(("amount", "hs_deal_stage_probability"), "number"), "closedate": "moment"},
}  # fmt: skip
"""What HubSpot's own properties hold, by object, where rules often read them.

https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide
"""
