"""Next best action: rules over the history of a contact that say what becomes of it. All but the loader is pure."""
