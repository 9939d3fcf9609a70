"""Who a contact is: merged, deleted, restored, erased."""
