"""What a person has to mend."""


class CourseError(Exception):
    """Something about the course's files that a person has to mend; the message says what and how."""
