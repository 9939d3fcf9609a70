"""The standard properties of a fresh portal: those the shipped packs read and those that people expect to find."""

from connector.sandbox.kinds import COMPANY, CONTACT, DEAL, TASK

WRITABLE, READ_ONLY, CALCULATED = "writable", "read_only", "calculated"

LIFECYCLE_STAGES = (
    ("subscriber", "Subscriber"), ("lead", "Lead"), ("marketingqualifiedlead", "Marketing Qualified Lead"),
    ("salesqualifiedlead", "Sales Qualified Lead"), ("opportunity", "Opportunity"), ("customer", "Customer"),
    ("evangelist", "Evangelist"), ("other", "Other"),
)  # fmt: skip
DEAL_STAGES = (
    ("appointmentscheduled", "Appointment Scheduled", 0.2), ("qualifiedtobuy", "Qualified To Buy", 0.4),
    ("presentationscheduled", "Presentation Scheduled", 0.6),
    ("decisionmakerboughtin", "Decision Maker Bought-In", 0.8),
    ("contractsent", "Contract Sent", 0.9), ("closedwon", "Closed Won", 1.0), ("closedlost", "Closed Lost", 0.0),
)  # fmt: skip
_LEAD_STATUS = "NEW OPEN IN_PROGRESS OPEN_DEAL UNQUALIFIED ATTEMPTED_TO_CONTACT CONNECTED BAD_TIMING"
_BUYING_ROLE = (
    "BLOCKER BUDGET_HOLDER CHAMPION DECISION_MAKER END_USER EXECUTIVE_SPONSOR INFLUENCER LEGAL_AND_COMPLIANCE OTHER"
)
_SOURCES = (
    "ORGANIC_SEARCH PAID_SEARCH EMAIL_MARKETING SOCIAL_MEDIA REFERRALS OTHER_CAMPAIGNS DIRECT_TRAFFIC OFFLINE "
    "PAID_SOCIAL AI_REFERRALS"
)
_INDUSTRIES = (
    "ACCOUNTING AUTOMOTIVE BANKING COMPUTER_SOFTWARE CONSTRUCTION EDUCATION_MANAGEMENT FINANCIAL_SERVICES "
    "FOOD_BEVERAGES HOSPITAL_HEALTH_CARE HOSPITALITY INFORMATION_TECHNOLOGY_AND_SERVICES INSURANCE INTERNET "
    "LOGISTICS_AND_SUPPLY_CHAIN MACHINERY MANAGEMENT_CONSULTING MARKETING_AND_ADVERTISING REAL_ESTATE RETAIL "
    "TELECOMMUNICATIONS"
)

# One line a property: name, type, field, mode, options (words). The label is made from the name.
CONTACT_ROWS = f"""
email string text writable
firstname string text writable
lastname string text writable
jobtitle string text writable
phone string phonenumber writable
mobilephone string phonenumber writable
company string text writable
website string text writable
address string text writable
city string text writable
state string text writable
zip string text writable
country string text writable
industry string text writable
annualrevenue string text writable
numemployees enumeration select writable 1-5 5-25 25-50 50-100 100-500 500-1000 1000+
job_function string text writable
seniority string text writable
message string textarea writable
closedate datetime date writable
hs_lead_status enumeration radio writable {_LEAD_STATUS}
hs_buying_role enumeration checkbox writable {_BUYING_ROLE}
hs_analytics_source enumeration select writable {_SOURCES}
hs_latest_source enumeration select writable {_SOURCES}
hs_latest_source_timestamp datetime date writable
hs_legal_basis enumeration checkbox writable Freely_given_consent Legitimate_interest_prospect Not_applicable
hs_persona enumeration radio writable persona_1 persona_2
associatedcompanyid number number writable
hs_object_id number number read_only
createdate datetime date read_only
lastmodifieddate datetime date read_only
hs_object_source string text read_only
hs_object_source_id string text read_only
hs_unique_creation_key string text read_only
hs_merged_object_ids enumeration checkbox read_only
hs_email_optout bool booleancheckbox read_only
hs_email_delivered number number read_only
hs_email_open number number read_only
hs_email_click number number read_only
hs_email_replied number number read_only
hs_email_bounce number number read_only
hs_email_sends_since_last_engagement number number read_only
hs_email_last_send_date datetime date read_only
hs_email_last_open_date datetime date read_only
hs_email_last_click_date datetime date read_only
hs_email_last_reply_date datetime date read_only
hs_email_bad_address bool booleancheckbox read_only
hs_sales_email_last_replied datetime date read_only
hs_sales_email_last_opened datetime date read_only
hs_sales_email_last_clicked datetime date read_only
notes_last_contacted datetime date read_only
notes_last_updated datetime date read_only
notes_next_activity_date datetime date read_only
num_contacted_notes number number read_only
num_notes number number read_only
hs_last_sales_activity_timestamp datetime date read_only
hs_latest_meeting_activity datetime date read_only
engagements_last_meeting_booked datetime date read_only
hs_sa_first_engagement_date datetime date read_only
hs_time_to_first_engagement number number calculated
hs_sequences_is_enrolled bool booleancheckbox calculated
hs_is_unworked bool calculation_equation read_only
num_conversion_events number number calculated
num_unique_conversion_events number number calculated
recent_conversion_event_name string text calculated
recent_conversion_date datetime date calculated
first_conversion_event_name string text calculated
first_conversion_date datetime date calculated
hs_analytics_num_page_views number number read_only
hs_analytics_num_visits number number read_only
hs_analytics_last_visit_timestamp datetime date read_only
hs_predictivecontactscore_v2 number number read_only
hubspotscore number calculation_score read_only
num_associated_deals number number read_only
first_deal_created_date datetime date read_only
recent_deal_amount number number read_only
recent_deal_close_date datetime date read_only
total_revenue number number read_only
days_to_close number number calculated
hubspot_owner_assigneddate datetime date read_only
hs_marketable_status enumeration select read_only true false
hs_all_contact_vids enumeration checkbox calculated
hs_additional_emails enumeration checkbox calculated
hs_email_domain string text calculated
hs_is_contact bool booleancheckbox calculated
currentlyinworkflow enumeration booleancheckbox read_only true false
hs_pipeline enumeration select read_only contacts-lifecycle-pipeline
"""
COMPANY_ROWS = f"""
name string text writable
domain string text writable
industry enumeration select writable {_INDUSTRIES}
type enumeration radio writable PROSPECT PARTNER RESELLER VENDOR OTHER
numberofemployees number number writable
annualrevenue number number writable
phone string phonenumber writable
website string text writable
city string text writable
state string text writable
country string text writable
zip string text writable
description string textarea writable
hs_lead_status enumeration radio writable {_LEAD_STATUS}
hs_object_id number number read_only
createdate datetime date read_only
hs_lastmodifieddate datetime date read_only
hs_merged_object_ids enumeration checkbox read_only
num_associated_contacts number number calculated
num_associated_deals number number calculated
notes_last_contacted datetime date read_only
num_notes number number read_only
"""
DEAL_ROWS = """
dealname string text writable
amount number number writable
closedate datetime date writable
dealtype enumeration radio writable newbusiness existingbusiness
description string textarea writable
closed_lost_reason string textarea writable
closed_won_reason string textarea writable
hs_object_id number number read_only
createdate datetime date read_only
hs_lastmodifieddate datetime date read_only
hs_merged_object_ids enumeration checkbox read_only
hs_unique_creation_key string text read_only
hs_deal_stage_probability number number read_only
hs_is_closed bool booleancheckbox calculated
hs_is_closed_won bool booleancheckbox calculated
hs_is_closed_lost bool booleancheckbox calculated
num_associated_contacts number number calculated
"""
TASK_ROWS = """
hs_timestamp datetime date writable
hs_task_subject string text writable
hs_task_body string html writable
hs_task_status enumeration select writable NOT_STARTED IN_PROGRESS WAITING COMPLETED DEFERRED
hs_task_priority enumeration select writable NONE LOW MEDIUM HIGH
hs_task_type enumeration select writable TODO CALL EMAIL LINKED_IN_CONNECT LINKED_IN_MESSAGE
hs_task_reminders string text writable
hs_queue_membership_ids enumeration checkbox writable
hs_object_id number number read_only
hs_createdate datetime date read_only
hs_lastmodifieddate datetime date read_only
hs_unique_creation_key string text read_only
hs_task_completion_date datetime date read_only
hs_task_is_completed number number calculated
hs_task_is_overdue bool calculation_equation calculated
"""
ROWS = {CONTACT: CONTACT_ROWS, COMPANY: COMPANY_ROWS, DEAL: DEAL_ROWS, TASK: TASK_ROWS}

GROUPS = {
    CONTACT: (("contactinformation", "Contact information"), ("sales_properties", "Sales properties")),
    COMPANY: (("companyinformation", "Company information"),),
    DEAL: (("dealinformation", "Deal information"),),
    TASK: (("task_information", "Task information"),),
}

# First name, last name: the colleagues who work with the practice portal.
COLLEAGUES = (
    ("Sales", "Team", "sales@acme.example"), ("Nora", "Lindqvist", "nora.lindqvist@acme.example"),
    ("Tomas", "Okafor", "tomas.okafor@acme.example"), ("Ines", "Marchetti", "ines.marchetti@acme.example"),
)  # fmt: skip
