"""What chapter 8 trains: each module holds a table SYSTEMS, name -> System."""
