"""Child processes: started and watched by the owner of a run, gone when the owner is gone."""
